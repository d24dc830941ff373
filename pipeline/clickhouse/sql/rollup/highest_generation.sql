-- The highest generation of any rollup row; the column holds stamps (pipeline/core/generation.py).
SELECT intDiv(
    greatest(
        (SELECT max(generation) FROM rollup_minute),
        (SELECT max(generation) FROM rollup_hour),
        (SELECT max(generation) FROM rollup_day)
    ),
    2048
)
