"""Each estimator against a published example or an independent implementation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from core.statistics import estimates
from core.statistics.clusters import Clusters, clustered

SLEEP = np.array([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
"""Student's sleep data (Biometrika 6, 1908): extra hours under drug 2 minus drug 1."""


def single(differences: np.ndarray) -> Clusters:
    return clustered(differences, list(range(len(differences))))


def test_the_interval_of_single_pairs_is_the_bca_interval_of_their_mean() -> None:
    found = estimates.bootstrap_interval(single(SLEEP), alpha=0.05)
    expected = stats.bootstrap(
        (SLEEP,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found is not None
    assert found.low == pytest.approx(expected.low, abs=0.06)
    assert found.high == pytest.approx(expected.high, abs=0.12)


def test_the_standard_error_of_single_pairs_is_the_textbook_one() -> None:
    assert single(SLEEP).standard_error == pytest.approx(stats.sem(SLEEP))


def test_the_sign_flip_test_enumerates_few_clusters_exactly() -> None:
    # 2 of the 1,024 sign patterns are as extreme, each with the zero difference either way.
    assert estimates.sign_flip_p(single(SLEEP)) == pytest.approx(4 / 1024)


@pytest.mark.parametrize(("only_a", "only_b"), [(10, 30), (3, 3), (0, 6), (86, 150), (0, 0)])
def test_mcnemar_is_that_of_an_independent_implementation(only_a: int, only_b: int) -> None:
    expected = mcnemar([[50, only_a], [only_b, 50]], exact=True).pvalue if only_a + only_b else 1.0
    found = estimates.mcnemar_p(only_baseline=only_a, only_candidate=only_b)
    assert found == pytest.approx(min(1.0, expected))


def test_holm_follows_the_published_example() -> None:
    # Wright, Biometrics 48 (1992): four p-values and their adjusted ones.
    assert estimates.holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert estimates.holm([]) == []


def test_cohens_d_z_of_the_sleep_data() -> None:
    assert estimates.cohens_d_z(SLEEP) == pytest.approx(1.2848, abs=1e-3)
    assert estimates.cohens_d_z(np.array([0.5, 0.5])) is None


def test_the_sample_size_is_that_of_the_tables_of_power() -> None:
    # Cohen, Statistical Power Analysis: a paired effect of 0.5 needs 34 pairs at 80 % power.
    rng = np.random.default_rng(5)
    made = rng.normal(size=200)
    made = (made - made.mean()) / made.std(ddof=1) + 0.5
    assert estimates.pairs_needed(single(made), alpha=0.05) == pytest.approx(34, abs=1)


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    per_session = np.repeat(rng.normal(0.05, 0.2, size=30), 10)
    sessions = [f"s{number // 10}" for number in range(300)]
    alone = estimates.bootstrap_interval(single(per_session), alpha=0.05)
    together = estimates.bootstrap_interval(clustered(per_session, sessions), alpha=0.05)
    assert alone is not None
    assert together is not None
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_random_groups_give_the_interval_of_the_single_clusters() -> None:
    rng = np.random.default_rng(7)
    many = single(rng.normal(0.1, 0.4, size=20_000))
    found = estimates.bootstrap_interval(many, alpha=0.05)
    assert found is not None
    half = 1.96 * many.standard_error
    assert found.low == pytest.approx(many.mean - half, abs=half / 10)
    assert found.high == pytest.approx(many.mean + half, abs=half / 10)


def test_differences_without_spread_have_an_interval_of_one_point() -> None:
    found = estimates.bootstrap_interval(single(np.array([0.25, 0.25, 0.25])), alpha=0.05)
    assert found == estimates.Interval(0.25, 0.25)
    assert estimates.bootstrap_interval(single(np.array([0.25])), alpha=0.05) is None
