"""Simulates a month of traffic and asks the real decisions what they tell of it.

`make simulate-incidents`: false incidents in healthy months, and how long each kind of drift goes
unseen. Windows are drawn, not lines; `--database` lets a shorter stretch of real lines pass through
the real ticks instead.
"""
