"""Models at work: bundles that are carried and checked, run, taught, measured. Numbers in, numbers out: what a case
holds is for `mantlet.case`, what reads an exhibit for `mantlet.engine`."""
