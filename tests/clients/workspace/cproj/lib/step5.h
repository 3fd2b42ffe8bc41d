#pragma once
int step5(int x);
