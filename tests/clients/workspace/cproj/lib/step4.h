#pragma once
int step4(int x);
