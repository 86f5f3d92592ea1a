// A random number generator that is created but never used: this project has its own.

extern "C" {

int curandCreateGenerator(void **generator, int) {
    static int one;
    *generator = &one;
    return 0;
}
int curandDestroyGenerator(void *) { return 0; }
int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }
int curandSetStream(void *, void *) { return 0; }
}
