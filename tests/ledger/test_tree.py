"""Merkle trees: against the definition of RFC 6962 read literally, and its published example."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ledger import tree
from lakehouse.ledger.tree import is_consistent
from lakehouse.ledger.verifier import Bad, Range, leaf_hash, root_of_inclusion

# Leaves of the certificate transparency reference tests; their roots are published with RFC 6962's log code.
PUBLISHED = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]  # fmt: skip
ROOT_OF_8 = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def literal(leaves):
    """MTH of RFC 6962, 2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + literal(leaves[:split]) + literal(leaves[split:])).digest()


def test_root_is_the_published_one():
    assert tree.root([leaf_hash(leaf) for leaf in PUBLISHED]).hex() == ROOT_OF_8


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_root_is_the_definition(leaves):
    assert tree.root([leaf_hash(leaf) for leaf in leaves]) == literal(leaves)


@given(st.integers(1, 70), st.data())
def test_inclusion_proof_leads_to_the_root_and_no_other_does(size, data):
    hashes = [leaf_hash(bytes([number])) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = tree.inclusion(hashes, index)
    root = tree.root(hashes)
    assert root_of_inclusion(index, size, hashes[index], path) == root
    assert root_of_inclusion(index, size, leaf_hash(b"other"), path) != root
    with pytest.raises(Bad):
        root_of_inclusion(index, size, hashes[index], [*path, bytes(32)])
    with pytest.raises(Bad):
        root_of_inclusion(size, size, hashes[index], path)


@given(st.integers(1, 70), st.data())
def test_consistency_proof_holds_for_the_true_trees_only(size, data):
    hashes = [leaf_hash(bytes([number])) for number in range(size)]
    first = data.draw(st.integers(1, size))
    proof = tree.consistency(hashes, first)
    old, new = tree.root(hashes[:first]), tree.root(hashes)
    assert is_consistent(first, size, old, new, proof)
    assert not is_consistent(first, size, bytes(32), new, proof)
    assert not is_consistent(first, size, old, bytes(32), proof)
    if proof:
        assert not is_consistent(first, size, old, new, proof[:-1])


def test_range_goes_on_from_where_it_was_kept():
    hashes = [leaf_hash(bytes([number])) for number in range(11)]
    grown = Range()
    for leaf in hashes[:6]:
        grown.append(leaf)
    again = Range(grown.size, grown.hashes)
    for leaf in hashes[6:]:
        again.append(leaf)
    assert again.root() == tree.root(hashes)
