"""From clips to the tables of each split."""
