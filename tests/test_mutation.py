"""Mutation testing: which faults are tried, and that a fault is found."""

from __future__ import annotations

import ast

from twisted.trial.unittest import TestCase

from . import mutation

SOURCE = """
LIMIT = 3


class Thing:
    def method(self, many: int = 2) -> bool:
        \"\"\"Docstring.\"\"\"
        assert self
        _log.info("entry", count=5)
        here = many
        self.there = min(here, LIMIT)
        self.tell(here)
        for each in range(here):
            if each < many and not here:
                continue
        return [x for x in here if x] is None
"""

CHANGES = [
    "method: def method(self, many: int=2) -> bool: -> def method(self, many: int=3) -> bool:",
    "method: self.there = min(here, LIMIT) -> pass",
    "method: min(here, LIMIT) -> max(here, LIMIT)",
    "method: self.tell(here) -> pass",
    "method: if each < many and (not here): -> if not (each < many and (not here)):",
    "method: each < many and (not here) -> each < many or not here",
    "method: each < many and (not here) -> not here",
    "method: each < many and (not here) -> each < many",
    "method: each < many -> each <= many",
    "method: not here -> here",
    "method: continue -> pass",
    "method: continue -> break",
    "method: [x for x in here if x] is None -> [x for x in here if x] is not None",
    "method: x -> not x",
]


class MutantTests(TestCase):
    def test_each_is_one_fault_in_what_a_function_does(self) -> None:
        tree = ast.parse(SOURCE)
        mutants = [mutation.mutant(tree, number) for number in range(len(CHANGES))]
        self.assertEqual([str(change) for _, change in mutants], CHANGES)
        self.assertEqual([str(change) for change in mutation.changes(tree)], CHANGES)
        whole = ast.unparse(tree)
        sources = {ast.unparse(mutated) for mutated, _ in mutants}
        self.assertEqual(len(sources), len(CHANGES))
        self.assertNotIn(whole, sources)
        self.assertEqual(ast.unparse(tree), whole, "the original stays as it is")
        for mutated, change in mutants:
            compile(mutated, "mutated", "exec")
            self.assertTrue(change.line > 5, change)

    def test_every_module_that_is_named_has_functions(self) -> None:
        for module in mutation.TESTS:
            self.assertTrue(mutation.changes(mutation.parse(module)), module)

    def test_what_is_said_to_be_equal_is_a_mutant(self) -> None:
        for module, equal in mutation.EQUAL.items():
            changes = {str(change) for change in mutation.changes(mutation.parse(module))}
            self.assertEqual(set(equal) - changes, set(), module)
