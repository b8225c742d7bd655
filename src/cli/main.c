#include "cli/command.h"

int main(void) {
    printf("rubato %s\n", rub_version());
    return 0;
}
