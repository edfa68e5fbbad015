"""What federation is worth, measured by patient on a folder of CT: `python -m benchmarks.evidence`.

    plan         what is compared, as jobs; in what order; what it costs
    data         the hospitals' patients in one cross-validation fold, as a job sees them
    train        makes a job's cells with the clients' own code; pooled training, float averages
    baseline     histograms of gradients and logistic regression
    cells        one model's readings of one hospital's patients, whose names are keyed hashes
    work         shares the jobs among processes
    scores       from cells to figures with intervals, paired by patient
    tables       the main tables and the goals; comparisons: everything beside them
    report       writes figures, tables and pictures
    pictures     ROC, gains, calibration, curves; masks of phantoms

Nothing of the product imports this package.
"""
