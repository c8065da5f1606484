#ifndef TESSERA_CPNG_H
#define TESSERA_CPNG_H

#endif
