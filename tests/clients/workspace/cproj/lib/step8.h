#pragma once
int step8(int x);
