from __future__ import annotations

import gzip

import numpy as np
import pytest

from isthmus.genomics import Intervals

BED = "#a comment\ntrack name=genes\nchr1\t5\t9\tA\t0\t+\textra\n\nchr2\t1\t3\tB\t0\t-\tmore\n"
GTF = """#!genome-build GRCh38
chr1\tHAVANA\tgene\t11\t20\t.\t+\t.\tgene_id "ENSG00000000001.5"; gene_type "lncRNA"; gene_name "A"; level 2;
chr1\tHAVANA\ttranscript\t11\t20\t.\t+\t.\tgene_id "ENSG00000000001.5"; gene_name "A";
chr2\tHAVANA\tgene\t1\t3\t.\t-\t.\tgene_id "ENSG00000000002.1"
"""
GFF3 = """##gff-version 3
1\tensembl\tchromosome\t1\t248956422\t.\t.\t.\tID=chromosome:1
1\tensembl\tgene\t11\t20\t.\t+\t.\tID=gene:ENSG00000000001;Name=A%2CB;biotype=x;gene_id=ENSG00000000001;version=5
1\tensembl\tmRNA\t11\t20\t.\t+\t.\tID=transcript:ENST1;Parent=gene:ENSG00000000001
2\tBestRefSeq\tpseudogene\t1\t3\t.\t-\t.\tID=gene-WASH7P;Dbxref=GeneID:653635;Name=WASH7P;gene=WASH7P
"""


def write(folder, name: str, text: str, compressed: bool):
    path = folder / (name + ".gz" if compressed else name)
    with (gzip.open if compressed else open)(path, "wt") as file:
        file.write(text)
    return path


def positions(found: Intervals) -> list[tuple]:
    parts = (found.names, found.chrom, found.start, found.end, found.strand)
    return [(n, str(c), int(s), int(e), str(d)) for n, c, s, e, d in zip(*parts, strict=True)]


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
def test_the_three_formats_are_read(tmp_path, compressed):
    bed = Intervals.read(write(tmp_path, "genes.bed", BED, compressed))
    assert positions(bed) == [("A", "chr1", 5, 9, "+"), ("B", "chr2", 1, 3, "-")]
    gtf = write(tmp_path, "genes.gtf", GTF, compressed)
    assert positions(Intervals.read(gtf)) == [("A", "chr1", 10, 20, "+"), ("ENSG00000000002.1", "chr2", 0, 3, "-")]
    assert Intervals.from_gtf(gtf, by="gene_id").names.tolist() == ["ENSG00000000001.5", "ENSG00000000002.1"]
    gff = write(tmp_path, "genes.gff3", GFF3, compressed)
    assert positions(Intervals.read(gff)) == [("A,B", "1", 10, 20, "+"), ("WASH7P", "2", 0, 3, "-")]
    assert Intervals.from_gtf(gff, by="gene_id").names.tolist() == ["ENSG00000000001", "WASH7P"]


def test_compression_is_seen_in_the_file_not_in_its_name(tmp_path):
    path = write(tmp_path, "genes.bed", BED, True).rename(tmp_path / "renamed.bed")
    assert Intervals.from_bed(path).names.tolist() == ["A", "B"]


@pytest.mark.parametrize("n_columns", [3, 4, 6])
def test_bed_has_three_to_six_columns(tmp_path, n_columns):
    lines = ["\t".join(line.split("\t")[:n_columns]) for line in BED.splitlines() if line.startswith("chr")]
    found = Intervals.from_bed(write(tmp_path, "some.bed", "\n".join(lines), False))
    assert found.names.tolist() == (["A", "B"] if n_columns > 3 else ["chr1:5-9", "chr2:1-3"])
    assert found.strand.tolist() == (["+", "-"] if n_columns == 6 else [".", "."])


def test_bad_files_are_refused(tmp_path, refused):
    with refused("nothing at", "a file of positions", "path"):
        Intervals.from_bed(tmp_path / "absent.bed")
    with refused("'genes.txt'", ".bed, .gtf, .gff or .gff3", "data frame"):
        Intervals.read(tmp_path / "genes.txt")
    with refused("none in", "intervals", "check"):
        Intervals.from_bed(write(tmp_path, "empty.bed", "#nothing\n", False))
    with refused("'chrom start end'", "BED", "header"):
        Intervals.from_bed(write(tmp_path, "header.bed", "chrom\tstart\tend\nchr1\t1\t2\n", False))
    with refused("'chr1 1 2 a'", "the same 3 columns", "correct"):
        Intervals.from_bed(write(tmp_path, "ragged.bed", "chr1\t1\t2\nchr1\t1\t2\ta\n", False))
    with refused("'transcript'", "type 'gene'", "GENCODE"):
        Intervals.from_gtf(write(tmp_path, "no.gtf", GTF.replace("\tgene\t", "\ttranscript\t"), False))
    with refused("'chr1 5 9'", "nine columns", "correct"):
        Intervals.from_gtf(write(tmp_path, "bed.gtf", "chr1 5 9\n", False))
    with refused("'symbol'", "'gene_name' or 'gene_id'", "one of these"):
        Intervals.from_gtf(tmp_path / "any.gtf", by="symbol")


def test_the_real_annotations_are_read(shared_data):
    genes = Intervals.read(shared_data("genes_hg38.bed.gz"))
    assert len(genes) == 37274
    assert genes.names.is_unique
    assert genes.stranded.all()
    tp53 = genes.subset(["TP53"])
    assert (str(tp53.chrom[0]), str(tp53.strand[0])) == ("chr17", "-")
    assert np.all(genes.width > 0)
