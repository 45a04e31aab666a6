from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from isthmus import InputError, pl
from isthmus.genomics import Intervals
from isthmus.genomics.links import COLUMNS


@pytest.fixture
def table() -> pd.DataFrame:
    """Two genes on chr1 with three links each, one of them without known position, and a gene elsewhere."""
    rows = [
        ("p0", "A", 0.9, 0.001, "chr1", 10_000, 10_500, 50_000, "+"),
        ("p1", "A", 0.4, 0.01, "chr1", 70_000, 70_400, 50_000, "+"),
        ("p2", "A", -0.2, 0.9, "chr1", 90_000, 90_400, 50_000, "+"),
        ("p1", "B", 0.1, 0.5, "chr1", 70_000, 70_400, 80_000, "-"),
        ("p2", "B", 0.6, 0.02, "chr1", 90_000, 90_400, 80_000, "-"),
        ("p9", "B", 0.6, 0.02, None, None, None, None, "."),
        ("p3", "C", 0.6, 0.02, "chr2", 90_000, 90_400, 80_000, "-"),
    ]
    part = pd.DataFrame(
        rows, columns=["peak", "gene", "score", "qvalue", "chrom", "peak_start", "peak_end", "tss", "strand"]
    )
    part = part.astype(dict.fromkeys(("peak_start", "peak_end", "tss"), "Int64")).astype({"chrom": "category"})
    rest = {"zscore": 0.0, "pvalue": 0.1, "distance": 0.0, "n_null": 9, "sign": 1, "weight": 1.0}
    return part.assign(**rest)[list(COLUMNS)]


def arcs(ax) -> list[np.ndarray]:
    """Paths of the arcs, the significant ones last."""
    return [path for lines in ax.collections for path in lines.get_segments()]


def names(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_arcs_lead_from_start_to_peak_and_are_as_high_as_the_score(table):
    ax = pl.links(table, gene="A")
    assert len(arcs(ax)) == 3
    tops = [round(float(path[:, 1].max()), 2) for path in arcs(ax)]
    assert tops == pytest.approx([0.02 * 1.08 * 0.9, 0.4, 0.9], abs=0.01)
    ends = [sorted((path[0, 0], path[-1, 0])) for path in arcs(ax)]
    assert ends == [[50_000, 90_200], [50_000, 70_200], [10_250, 50_000]]
    assert np.abs(np.concatenate([path[[0, -1], 1] for path in arcs(ax)])).max() < 1e-9
    weak, good = (lines.get_colors() for lines in ax.collections)
    assert len(weak) == 1
    assert not np.array_equal(good[0], good[1])
    assert ax.get_title() == "A"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["q < 0.05 (2)", "other links (1)"]
    assert "chr1" in ax.get_xlabel()


def test_the_stretch_holds_all_links_of_the_gene(table):
    left, right = pl.links(table, gene="A").get_xlim()
    assert left < 10_000
    assert right > 90_400
    assert pl.links(table, gene="A", region="chr1:40,000-95,000").get_xlim() == (40_000, 95_000)
    assert len(arcs(pl.links(table, gene="A", region="chr1:40,000-95,000"))) == 2


def test_a_region_shows_all_its_genes(table):
    ax = pl.links(table, region="chr1:0-100000")
    assert len(arcs(ax)) == 5
    assert names(ax) == ["A", "B"]
    assert ax.get_title() == "chr1:0-100,000"
    assert len(ax.patches) == 3  # one box for each peak, however many links it has


def test_significance_follows_the_limit(table):
    ax = pl.links(table, region="chr1:0-100000", fdr=0.005, title="mine")
    assert [len(lines.get_segments()) for lines in ax.collections] == [4, 1]
    assert ax.get_title() == "mine"
    ax = pl.links(table, region="chr1:0-100000", fdr=0)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["other links (5)"]


def test_bodies_of_genes(table):
    genes = Intervals(
        pd.Index(["A", "B", "D", "elsewhere", "p0"]),
        pd.Categorical(["chr1", "chr1", "chr1", "chr2", "chr1"]),
        [50_000, 75_000, 20_000, 10, 10_000],
        [52_000, 80_001, 99_000, 900, 10_500],
        ["+", "-", "+", "+", "."],
    )
    positions = genes.to_frame().rename(columns={"chromStart": "start", "chromEnd": "end"})
    positions = positions.astype({"start": "Int64", "end": "Int64"}).reindex([*positions.index, "far"])
    for form in (genes, positions):
        ax = pl.links(table, gene="A", genes=form)
        assert sorted(names(ax)) == ["A", "B", "D"]
        chosen = next(text for text in ax.texts if text.get_text() == "A")
        assert chosen.get_weight() == "bold"
        tips = {tuple(text.xy) for text in ax.texts if hasattr(text, "xy")}
        assert {52_000, 75_000} <= {x for x, _ in tips}


@pytest.mark.parametrize(
    ("linked", "annotated"), [("chr1", "1"), ("1", "chr1"), ("chr1", "Chr1"), ("chrM", "MT"), ("MT", "chrM")]
)
def test_an_annotation_may_call_chromosomes_in_another_style(table, linked, annotated):
    renamed = table.assign(chrom=table["chrom"].cat.rename_categories({"chr1": linked}))
    starts, ends = [50_000, 75_000, 50_000], [52_000, 80_001, 60_000]
    genes = Intervals(["A", "B", "elsewhere"], [annotated, annotated, "11"], starts, ends, ["+", "-", "+"])
    positions = genes.to_frame().rename(columns={"chromStart": "start", "chromEnd": "end"})
    for form in (genes, positions):
        ax = pl.links(renamed, gene="A", genes=form)
        assert sorted(names(ax)) == ["A", "B"]
        assert linked in ax.get_xlabel()


@pytest.mark.parametrize(
    ("linked", "written"), [("chr1", "1"), ("1", "chr1"), ("chr1", "Chr1"), ("chrM", "MT"), ("MT", "chrM")]
)
def test_a_region_may_call_its_chromosome_in_another_style(table, linked, written):
    renamed = table.assign(chrom=table["chrom"].cat.rename_categories({"chr1": linked}))
    for form in (renamed, renamed.astype({"chrom": object})):
        ax = pl.links(form, region=f"{written}:0-100,000")
        assert len(arcs(ax)) == 5
        assert ax.get_title() == f"{linked}:0-100,000"
    assert len(arcs(pl.links(renamed, gene="A", region=f"{written}:40,000-95,000"))) == 2
    with pytest.raises(InputError, match="both lie in 11:0-100,000"):
        pl.links(renamed, region="11:0-100000")


def test_a_chromosome_that_the_links_have_is_taken_as_it_is_written(table):
    both = table.assign(chrom=table["chrom"].cat.rename_categories({"chr2": "1"}))
    assert len(arcs(pl.links(both, region="1:0-100000"))) == 1
    assert len(arcs(pl.links(both, region="chr1:0-100000"))) == 5


BODIES = {
    "chrom": ["1", "1", "1", None], "start": [50_000, 75_000, 20_000, 5], "end": [52_000, 80_001, 99_000, 9],
    "strand": ["+", "-", "+", None],
}  # fmt: skip


def bold(ax) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text() and text.get_weight() == "bold"]


@pytest.mark.parametrize("version", ["", ".7"])
def test_a_gene_that_the_links_call_by_id_has_its_name(table, version):
    ids = {"A": "ENSG01", "B": "ENSG02", "C": "ENSG03"}
    linked = table.assign(gene=table["gene"].map(ids) + version)
    genes = pd.DataFrame(
        {**BODIES, "gene_name": ["MS4A1", "CD3", None, "x"], "gene_id": ["ENSG01.4", "ENSG02", "ENSG9", "y"]}
    )
    for form in (
        genes,
        genes.set_index("gene_id"),
        genes.rename(columns={"gene_name": "symbol", "gene_id": "gene_ids"}),
    ):
        ax = pl.links(linked, gene="ENSG01" + version, genes=form)
        assert sorted(names(ax)) == ["CD3", "ENSG9", "MS4A1"]
        assert bold(ax) == ["MS4A1"]
        assert ax.get_title() == "ENSG01" + version
        assert bold(pl.links(linked, region="1:0-100000", genes=form)) == []
    by_name = table.assign(gene=table["gene"].replace({"A": "MS4A1"}))
    assert bold(pl.links(by_name, gene="MS4A1", genes=genes)) == ["MS4A1"]


@pytest.mark.parametrize("column", ["gene_name", "name", "gene_id", "gene"])
def test_rows_that_are_only_counted_are_called_by_their_column(table, column, refused):
    genes = pd.DataFrame({**BODIES, column: ["A", "B", "D", "x"]})
    for form in (genes, genes.iloc[::-1], genes.set_index(np.array([4, 5, 6, 9]))):
        ax = pl.links(table, gene="A", genes=form)
        assert sorted(names(ax)) == ["A", "B", "D"]
        assert bold(ax) == ["A"]
    with refused("columns 'chrom', 'start'", "genes with names", "gene_name"):
        pl.links(table, gene="A", genes=genes.drop(columns=column))
    assert bold(pl.links(table, gene="A", genes=genes.set_index(column))) == ["A"]
    nameless = genes.assign(**{column: ["A", "", None, "x"]})
    assert sorted(names(pl.links(table, gene="A", genes=nameless))) == ["A", "B"]  # B as its links say
    assert sorted(names(pl.links(table, gene="A", genes=genes.iloc[:0]))) == ["A", "B"]


@pytest.mark.parametrize("missing", [True, False])
def test_links_that_were_written_and_read_are_drawn_the_same(table, tmp_path, missing):
    """Chromosomes 1 and 2 come back as numbers, those of links without a position as none."""
    plain = table.assign(
        chrom=table["chrom"].cat.rename_categories({"chr1": "1", "chr2": "2"}),
        gene=table["gene"].map({"A": "7157", "B": "672", "C": "675"}),
    )
    plain = plain if missing else plain[plain["chrom"].notna()]
    plain.to_csv(tmp_path / "links.csv", index=False)
    back = pd.read_csv(tmp_path / "links.csv")
    assert back["chrom"].dtype == (float if missing else int)
    genes = pd.DataFrame({**BODIES, "gene_id": [7157, 672, 9, 8]}).assign(chrom=[1, 1, 1, None])
    for where in ({"gene": "7157"}, {"region": "chr1:0-100000"}, {"region": "1:0-100000"}, {"gene": 7157}):
        drawn = pl.links(back, **where, genes=genes)
        expected = pl.links(plain, **{**where, **({"gene": "7157"} if "gene" in where else {})}, genes=genes)
        for one, other in zip(arcs(drawn), arcs(expected), strict=True):
            np.testing.assert_allclose(one, other)
        assert (names(drawn), bold(drawn)) == (names(expected), bold(expected))
        assert sorted(names(drawn)) == ["672", "7157", "9"]
        assert drawn.get_xlabel() == "1 (Mb)"


@pytest.mark.parametrize("chrom", ["chr1", "2"])
def test_a_gene_with_links_that_the_annotation_lacks_is_drawn_by_its_start(table, chrom):
    genes = Intervals(["D"], [chrom], [20_000], [99_000], ["+"])
    for form in (genes, genes.take(np.array([False]))):
        ax = pl.links(table, gene="A", genes=form)
        assert sorted(names(ax)) == ["A", "B", *(["D"] if chrom == "chr1" and len(form) else [])]
        assert bold(ax) == ["A"]
        tails = {text.xyann[0] for text in ax.texts if hasattr(text, "xyann")}
        assert {50_000, 80_000} <= tails


def test_genes_and_names_do_not_meet(table):
    many = pd.concat([table.assign(gene=f"GENE{i}", tss=table["tss"] + 100 * i) for i in range(12)], ignore_index=True)
    ax = pl.links(many, region="chr1:0-100000")
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(boxes) == 24 - 12
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_given_axes_are_drawn_on(table):
    _, given = plt.subplots()
    assert pl.links(table, gene="A", ax=given) is given


def test_bad_input(table):
    with pytest.raises(InputError, match="a gene or a region"):
        pl.links(table)
    with pytest.raises(InputError, match="Found 'Z'"):
        pl.links(table, gene="Z")
    with pytest.raises(InputError, match="both lie in chr1:0-10"):
        pl.links(table, region="chr1:0-10")
    with pytest.raises(InputError, match="peak names that tell a position"):
        pl.links(table, region="somewhere")
    with pytest.raises(InputError, match="no 'tss'"):
        pl.links(table.drop(columns="tss"), gene="A")
    with pytest.raises(InputError, match="fdr"):
        pl.links(table, gene="A", fdr=2)
