#pragma once
int step3(int x);
