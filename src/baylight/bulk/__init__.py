"""CSV files and device lists, in and out.

`imports` runs the steps of an import. Each kind of file is one module (`locations`, `spaces`, `device_types`,
`devices`, `assignments`) with its columns and its steps, and one file of SQL; `kinds` lists them. `cells` and
`csv_file` read and write text. `device_lists` turns the lists of network servers into rows of a `devices` file.

An import changes many objects by set-based SQL. It does not call the functions of `inventory`, which change one object;
it gives the same codes for the same errors, and the same words in the audit log.

Start with `imports.import_rows`. What can go wrong: a file has errors. Then nothing is changed, and the report names
the first errors by row. A large import holds its locks until it ends, and uplinks of the changed devices wait that
long.
"""
