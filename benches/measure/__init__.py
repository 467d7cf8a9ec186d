"""What the measurements share: tables, what machine this is, programs that run beside what is measured."""
