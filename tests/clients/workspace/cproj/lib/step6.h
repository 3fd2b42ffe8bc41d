#pragma once
int step6(int x);
