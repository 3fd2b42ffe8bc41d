#pragma once
int step7(int x);
