"""Pictures: functions take an Axes and return it."""
