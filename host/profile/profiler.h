/* cuProfilerStart and cuProfilerStop, which profilers take as the ends of what to capture (nsys
 * --capture-range=cudaProfilerApi, ncu --profile-from-start off). */
#ifndef MB_PROFILER_H
#define MB_PROFILER_H

/* The functions are looked up in the driver's library, and only where something has loaded it into
 * this process already; without one nothing happens. The driver and not the runtime, whose
 * cudaProfilerStart calls it: there is one driver in a process, while runtimes come in several
 * versions, in plugins that are opened without sharing their symbols, and linked statically. */
void mb_profiler_start(void);
void mb_profiler_stop(void);

#endif
