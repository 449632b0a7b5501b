"""The works that can be cited, and how an entry is written."""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import normalize

MOST_NAMES = 6
"""Authors that the text lists; of more, the first stands for all."""

_ACCENTS = {"\u0301": "'", "\u0302": "^", "\u0307": "."}
"""TeX's commands for the combining characters of the names below."""


class Work(NamedTuple):
    """An entry in plain Unicode; names and pages are written as BibTeX wants them.

    Attributes
    ----------
    package
        The distribution whose version belongs to the entry, if any.
    """

    kind: str
    author: str
    title: str
    fields: dict[str, str]
    package: str = ""

    def bibtex(self, key: str, note: str = "") -> str:
        """Return the entry in BibTeX, in ASCII; braces around the title keep its capitals."""
        fields = {"author": self.author, "title": f"{{{self.title}}}", **self._with(note)}
        lines = [f"  {name} = {{{_ascii(value)}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{self.kind}{{{key},", *lines, "}"])

    def text(self, note: str = "") -> str:
        """Return the entry as a line for people."""
        fields = self._with(note)
        get = fields.get
        names = [" ".join(name.split(", ")[::-1]) for name in re.sub("[{}]", "", self.author).split(" and ")]
        who = ", ".join(names) if len(names) <= MOST_NAMES else f"{names[0]} et al."
        where = get("journal") or get("booktitle") or (f"arXiv:{fields['eprint']}" if "eprint" in fields else "")
        where += (f" {get('volume')}" if get("volume") else "") + (f", {get('pages')}" if get("pages") else "")
        link = f"https://doi.org/{get('doi')}" if get("doi") else get("url", "")
        parts = [f"{who} ({get('year')})" if get("year") else who, self.title, where.replace("--", "-"), fields["note"]]
        return " ".join([*(f"{part}." for part in parts if part), link]).strip()

    def _with(self, note: str) -> dict[str, str]:
        return {**self.fields, "note": "; ".join(filter(None, [self.fields.get("note", ""), note]))}


def _ascii(text: str) -> str:
    return re.sub("(.)([\u0300-\u036f])", lambda at: rf"{{\{_ACCENTS[at[2]]}{at[1]}}}", normalize("NFD", text))


def _published(author: str, title: str, venue: str, package: str = "", note: str = "", kind: str = "article") -> Work:
    """Return the entry of a publication; ``venue`` is where, volume, pages, year and DOI, separated by bars."""
    names = ("journal" if kind == "article" else "booktitle", "volume", "pages", "year", "doi")
    return Work(kind, author, title, {**dict(zip(names, venue.split(" | "), strict=True)), "note": note}, package)


# Keys are a promise: documents refer to them. The order is that of the output.
WORKS = {
    "polarbias": Work("misc", "{the polarbias developers}", "polarbias", {}, "polarbias"),
    "chou2023robust": Work(
        "misc",
        "Chou, Hung-Hsu and Rauhut, Holger and Ward, Rachel",
        "Robust Implicit Regularization via Weight Normalization",
        {
            "year": "2023",
            "eprint": "2305.05448v1",
            "archiveprefix": "arXiv",
            "url": "https://arxiv.org/abs/2305.05448",
            "note": "Equations and theorems are numbered as in this version; published in Information and Inference: A"
            " Journal of the IMA 13(3), iaae022, 2024",
        },
    ),
    "bradbury2018jax": Work(
        "misc",
        "Bradbury, James and Frostig, Roy and Hawkins, Peter and Johnson, Matthew James and Katariya, Yash and"
        " Leary, Chris and Maclaurin, Dougal and Necula, George and Paszke, Adam and VanderPlas, Jake and"
        " Wanderman-Milne, Skye and Zhang, Qiao",
        "JAX: composable transformations of Python+NumPy programs",
        {"year": "2018", "url": "http://github.com/jax-ml/jax"},
        "jax",
    ),
    "kidger2021equinox": _published(
        "Kidger, Patrick and Garcia, Cristian",
        "Equinox: neural networks in JAX via callable PyTrees and filtered transformations",
        "Differentiable Programming workshop at Neural Information Processing Systems |  |  | 2021 | ",
        "equinox",
        kind="inproceedings",
    ),
    "harris2020array": _published(
        "Harris, Charles R. and Millman, K. Jarrod and van der Walt, Stéfan J. and Gommers, Ralf and Virtanen, Pauli"
        " and Cournapeau, David and Wieser, Eric and Taylor, Julian and Berg, Sebastian and Smith, Nathaniel J. and"
        " Kern, Robert and Picus, Matti and Hoyer, Stephan and van Kerkwijk, Marten H. and Brett, Matthew and"
        " Haldane, Allan and {Fernández del Río}, Jaime and Wiebe, Mark and Peterson, Pearu and"
        " Gérard-Marchant, Pierre and Sheppard, Kevin and Reddy, Tyler and Weckesser, Warren and Abbasi, Hameer and"
        " Gohlke, Christoph and Oliphant, Travis E.",
        "Array programming with NumPy",
        "Nature | 585 | 357--362 | 2020 | 10.1038/s41586-020-2649-2",
        "numpy",
    ),
    "virtanen2020scipy": _published(
        "Virtanen, Pauli and Gommers, Ralf and Oliphant, Travis E. and Haberland, Matt and Reddy, Tyler and"
        " Cournapeau, David and Burovski, Evgeni and Peterson, Pearu and Weckesser, Warren and Bright, Jonathan and"
        " van der Walt, Stéfan J. and Brett, Matthew and Wilson, Joshua and Millman, K. Jarrod and Mayorov, Nikolay"
        " and Nelson, Andrew R. J. and Jones, Eric and Kern, Robert and Larson, Eric and Carey, C. J. and"
        " Polat, İlhan and Feng, Yu and Moore, Eric W. and VanderPlas, Jake and Laxalde, Denis and Perktold, Josef and"
        " Cimrman, Robert and Henriksen, Ian and Quintero, E. A. and Harris, Charles R. and Archibald, Anne M. and"
        " Ribeiro, Antônio H. and Pedregosa, Fabian and van Mulbregt, Paul and {SciPy 1.0 Contributors}",
        "SciPy 1.0: Fundamental Algorithms for Scientific Computing in Python",
        "Nature Methods | 17 | 261--272 | 2020 | 10.1038/s41592-019-0686-2",
        "scipy",
    ),
    "pedregosa2011scikit": _published(
        "Pedregosa, F. and Varoquaux, G. and Gramfort, A. and Michel, V. and Thirion, B. and Grisel, O. and"
        " Blondel, M. and Prettenhofer, P. and Weiss, R. and Dubourg, V. and Vanderplas, J. and Passos, A. and"
        " Cournapeau, D. and Brucher, M. and Perrot, M. and Duchesnay, E.",
        "Scikit-learn: Machine Learning in Python",
        "Journal of Machine Learning Research | 12 | 2825--2830 | 2011 | ",
        "scikit-learn",
    ),
    "rocklin2015dask": _published(
        "Rocklin, Matthew",
        "Dask: Parallel Computation with Blocked algorithms and Task Scheduling",
        "Proceedings of the 14th Python in Science Conference |  |  | 2015 | 10.25080/Majora-7b98e3ed-013",
        "distributed",
        kind="inproceedings",
    ),
    "armijo1966minimization": _published(
        "Armijo, Larry",
        "Minimization of functions having Lipschitz continuous first partial derivatives",
        "Pacific Journal of Mathematics | 16 | 1--3 | 1966 | 10.2140/pjm.1966.16.1",
    ),
    "beck2003mirror": _published(
        "Beck, Amir and Teboulle, Marc",
        "Mirror descent and nonlinear projected subgradient methods for convex optimization",
        "Operations Research Letters | 31 | 167--175 | 2003 | 10.1016/S0167-6377(02)00231-6",
    ),
    "petzold1983automatic": _published(
        "Petzold, Linda",
        "Automatic selection of methods for solving stiff and nonstiff systems of ordinary differential equations",
        "SIAM Journal on Scientific and Statistical Computing | 4 | 136--148 | 1983 | 10.1137/0904010",
        note="LSODA, called through SciPy",
    ),
    "huangfu2018parallelizing": _published(
        "Huangfu, Q. and Hall, J. A. J.",
        "Parallelizing the dual revised simplex method",
        "Mathematical Programming Computation | 10 | 119--142 | 2018 | 10.1007/s12532-017-0130-5",
        note="HiGHS, called through SciPy",
    ),
    "mehrotra1992implementation": _published(
        "Mehrotra, Sanjay",
        "On the implementation of a primal-dual interior point method",
        "SIAM Journal on Optimization | 2 | 575--601 | 1992 | 10.1137/0802028",
    ),
    "chen1998atomic": _published(
        "Chen, Scott Shaobing and Donoho, David L. and Saunders, Michael A.",
        "Atomic decomposition by basis pursuit",
        "SIAM Journal on Scientific Computing | 20 | 33--61 | 1998 | 10.1137/S1064827596304010",
    ),
    "gondzio1996multiple": _published(
        "Gondzio, Jacek",
        "Multiple centrality corrections in a primal-dual method for linear programming",
        "Computational Optimization and Applications | 6 | 137--156 | 1996 | 10.1007/BF00249643",
    ),
    "winternitz2012constraint": _published(
        "Winternitz, Luke B. and Nicholls, Stacey O. and Tits, André L. and O'Leary, Dianne P.",
        "A constraint-reduced variant of Mehrotra's predictor-corrector algorithm",
        "Computational Optimization and Applications | 51 | 1001--1036 | 2012 | ",
    ),
    "rockafellar1976monotone": _published(
        "Rockafellar, R. Tyrrell",
        "Monotone operators and the proximal point algorithm",
        "SIAM Journal on Control and Optimization | 14 | 877--898 | 1976 | 10.1137/0314056",
    ),
    "friedlander2007exact": _published(
        "Friedlander, Michael P. and Tseng, Paul",
        "Exact regularization of convex programs",
        "SIAM Journal on Optimization | 18 | 1326--1350 | 2007 | 10.1137/060675320",
    ),
    "li2018highly": _published(
        "Li, Xudong and Sun, Defeng and Toh, Kim-Chuan",
        "A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso problems",
        "SIAM Journal on Optimization | 28 | 433--458 | 2018 | 10.1137/16M1097572",
    ),
    "donoho2012sparse": _published(
        "Donoho, David L. and Tsaig, Yaakov and Drori, Iddo and Starck, Jean-Luc",
        "Sparse solution of underdetermined systems of linear equations by stagewise orthogonal matching pursuit",
        "IEEE Transactions on Information Theory | 58 | 1094--1121 | 2012 | 10.1109/TIT.2011.2173241",
    ),
    "fuchs2004sparse": _published(
        "Fuchs, Jean-Jacques",
        "On sparse representations in arbitrary redundant bases",
        "IEEE Transactions on Information Theory | 50 | 1341--1344 | 2004 | ",
    ),
}
