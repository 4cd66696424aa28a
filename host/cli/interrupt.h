/* SIGINT and SIGTERM as a descriptor that becomes readable, so that a wait for a worker ends at
 * once and what was measured is still written. A second signal ends the program on the spot. */
#ifndef MB_INTERRUPT_H
#define MB_INTERRUPT_H

/* Installs the handlers; the descriptor, or -1 when none can be had (then signals just kill). */
int mb_interrupt_install(void);

/* Number of the first signal, 0 before any. */
int mb_interrupt_signal(void);

#endif
