"""Run in other environments than the tests: with the packages and programs that they are about."""
