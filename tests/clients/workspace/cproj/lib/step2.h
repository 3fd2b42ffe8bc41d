#pragma once
int step2(int x);
