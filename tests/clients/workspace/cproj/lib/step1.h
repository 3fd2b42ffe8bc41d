#pragma once
int step1(int x);
