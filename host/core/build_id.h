/* Which build this is. */
#ifndef MB_BUILD_ID_H
#define MB_BUILD_ID_H

enum { MB_BUILD_ID_SIZE = 41 };

/* The build id of the object file that this code was linked into (program or plugin), in
 * hexadecimal: what the linker wrote there changes with any change of the code. "" when it wrote
 * none. */
void mb_build_id(char id[MB_BUILD_ID_SIZE]);

#endif
