#include "tests/catch.h"

int main(int argc, char** argv) { return gt::run_tests(argc, argv); }
