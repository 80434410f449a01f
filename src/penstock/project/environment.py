"""The settings of one environment, merged, resolved and frozen. Not for: what they configure."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from penstock.errors import UsageError
from penstock.model.outside import Outside
from penstock.model.secret import Secret
from penstock.project.keys import PREFIX, ProjectKey
from penstock.project.providers.files import SecretFiles
from penstock.project.providers.keyrings import Keyring
from penstock.project.providers.protocol import Provider
from penstock.project.providers.variables import Variables
from penstock.project.providers.vault import Vault
from penstock.project.target import dot_env

#: The environments that there can be; the first one is meant where none is named.
NAMES = ("dev", "test", "prod")
#: Names the environment, where no `-e` does; says that this is a client's installation.
VARIABLE, INSTALLED = "PENSTOCK_ENV", "PENSTOCK_INSTALLED"
#: Keys whose values are secrets, and URLs with a password.
_SECRET_KEYS = frozenset({"password", "passphrase", "secret", "token", "api_key"})
_URL = re.compile(
    r"^(?P<before>[a-z][a-z0-9+.-]*://[^:/@\s]*:)(?P<secret>[^@]+)(?P<after>@.*)$", re.I | re.S
)
_STATIC = "static"
_PROVIDERS = "providers"


class Environment(Mapping[str, Any]):
    """What `env` says for one environment; it cannot be changed.

    Nested dictionaries are mappings, lists are tuples, secrets are `Secret`.

    Args:
        name: `dev`, `test` or `prod`.
        folder: The project's root.
        values: The settings.
        origins: Dotted path of each value -> where it came from: `static`, an environment's
            name, `.env or variable`, a provider, `encrypted`.
        warnings: What is allowed here and would not be in `prod`.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        values: Mapping[str, Any],
        origins: Mapping[str, str],
        warnings: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.folder = folder
        self.origins = MappingProxyType(dict(origins))
        self.warnings = tuple(warnings)
        self._values: Mapping[str, Any] = _frozen(values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({self.name!r}, {dict(self._values)!r})"

    @property
    def project(self) -> str:
        """The project's name: `env["project"]`, else that of its folder."""
        return str(self.get("project", self.folder.name))


def load_config(folder: Path) -> Mapping[str, Any]:
    """`env` of the project's `config.py`.

    Raises:
        UsageError: There is no such file or no `env` in it, or it raises an error.
    """
    path = folder / "config.py"
    if not path.is_file():
        raise UsageError(f"There is no config.py in {folder}: is this a project? penstock new DIR")
    spec = importlib.util.spec_from_file_location("config", path)
    assert spec is not None  # noqa: S101  a .py file has a loader
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # for `custom`, as with `python main.py`
    try:
        spec.loader.exec_module(module)
    except (
        Exception
    ) as error:  # the project's own code may raise anything: it is told, with the place
        raise UsageError(f"{path}: {type(error).__name__}: {error}") from error
    env = getattr(module, "env", None)
    if not isinstance(env, Mapping):
        raise UsageError(f"{path} has no dictionary env")
    return env


def choose(
    env: Mapping[str, Any], name: str | None, folder: Path, *, fetch: bool = True
) -> Environment:
    """The settings of one environment.

    The environment's keys are laid over the static ones: dictionaries on both sides are merged
    key by key, at any depth, anything else is replaced whole. Then values from outside are fetched
    (`env:`, `file:`, `keyring:`, `vault:`, and those of `env["providers"]`), and `enc:` decrypted.

    Args:
        env: As in `config.py`.
        name: `dev`, `test` or `prod`; None: what PENSTOCK_ENV says, else `dev`.
        folder: The project's root.
        fetch: False: nothing is fetched, decrypted or judged; what comes from outside stays as it
            is named.

    Raises:
        UsageError: An unknown environment, or values that cannot be had, all listed at once.
    """
    found, problems = survey(env, name, folder, fetch=fetch)
    if problems:
        raise UsageError("\n".join(problems))
    return found


def survey(
    env: Mapping[str, Any], name: str | None, folder: Path, *, fetch: bool = True
) -> tuple[Environment, list[str]]:
    """As `choose`, but values that cannot be had are empty, and told.

    Returns:
        The settings; and what is wrong, each beginning with the dotted path of the value.

    Raises:
        UsageError: An unknown environment.
    """
    chosen = name or os.environ.get(VARIABLE) or NAMES[0]
    known = [one for one in NAMES if one in env]
    if chosen not in known:
        there = ", ".join(known) or "none: env has neither dev, test nor prod"
        raise UsageError(f"There is no environment {chosen!r}; this project has {there}")
    for one in known:
        if not isinstance(env[one], Mapping):
            raise UsageError(f'env["{one}"] must be a dictionary')
    static = {key: value for key, value in env.items() if key not in (*NAMES, _PROVIDERS)}
    origins: dict[str, str] = {}
    merged = _laid_over(static, env[chosen], chosen, origins, "")
    resolving = _Resolving(
        name=chosen,
        providers=_providers(env, folder),
        key=ProjectKey(str(merged.get("project", folder.name))),
        origins=origins,
        fetch=fetch,
    )
    values = resolving.resolved(merged, "", "")
    found = Environment(chosen, folder, values, origins, resolving.warnings)
    return found, resolving.problems


@dataclass(slots=True, kw_only=True)
class _Resolving:
    """Fetches, decrypts and judges every value; notes what is wrong instead of stopping."""

    name: str
    providers: Mapping[str, Provider]
    key: ProjectKey
    origins: dict[str, str]
    fetch: bool
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def resolved(self, value: Any, path: str, key: str) -> Any:
        if isinstance(value, Mapping):
            return {k: self.resolved(v, f"{path}.{k}" if path else k, k) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.resolved(v, f"{path}[{n}]", key) for n, v in enumerate(value)]
        if not isinstance(value, str):
            return value
        if key in _SECRET_KEYS:
            found = self._secret(value, path)
            return found if isinstance(found, Secret) else Secret(found)
        found = self._fetched(value, path)
        url = _URL.match(found if isinstance(found, str) else found.reveal())
        if url is None:
            return found
        hidden = url["secret"] if isinstance(found, Secret) else self._password(found, url, path)
        text = hidden.reveal() if isinstance(hidden, Secret) else hidden
        return Secret(url["before"] + text + url["after"])

    def _password(self, found: str, url: re.Match[str], path: str) -> str | Secret:
        """That of a URL: judged as plain text only where the URL itself stands in the settings."""
        if isinstance(found, Outside):
            return self._fetched(url["secret"], path)
        return self._secret(url["secret"], path)

    def _secret(self, value: str, path: str) -> str | Secret:
        found = self._fetched(value, path)
        if isinstance(found, str) and found:
            self._plain(path)
        return found

    def _fetched(self, value: str, path: str) -> str | Secret:
        """The value itself as text; what came from elsewhere as a `Secret`."""
        if not self.fetch:
            return value
        try:
            if value.startswith(PREFIX):
                self.origins[path] = "encrypted"
                return self.key.decrypt(value)
            prefix, colon, reference = value.partition(":")
            if colon and prefix in self.providers and not reference.startswith("//"):
                self.origins[path] = f"{prefix}:{reference}"
                fetched = self.providers[prefix].fetch(reference)
                secret = path.rpartition(".")[2] in _SECRET_KEYS
                return Secret(fetched) if secret else Outside(fetched)
        except UsageError as error:
            self.problems.append(f"{path}: {error.message}")
            return Secret("")
        return value

    def _plain(self, path: str) -> None:
        """A secret in plain text: allowed, warned of or refused."""
        if not self.fetch:
            return
        advice = f"{path} is in plain text. Encrypt it: python main.py -p, and put enc:... there"
        if os.environ.get(INSTALLED) == "1":
            self.problems.append(f"{advice} (this is an installation: {INSTALLED}=1)")
        elif self.name == "prod":
            self.problems.append(advice)
        elif self.name == "test":
            self.warnings.append(advice)


def _laid_over(
    under: Mapping[str, Any], over: Mapping[str, Any], name: str, origins: dict[str, str], path: str
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key in [*under, *(key for key in over if key not in under)]:
        here = f"{path}.{key}" if path else key
        both = key in under and key in over
        if both and isinstance(under[key], Mapping) and isinstance(over[key], Mapping):
            merged[key] = _laid_over(under[key], over[key], name, origins, here)
            continue
        merged[key] = over[key] if key in over else under[key]
        _note(merged[key], name if key in over else _STATIC, origins, here)
    return merged


def _note(value: Any, origin: str, origins: dict[str, str], path: str) -> None:
    if isinstance(value, Mapping):
        for key, one in value.items():
            _note(one, origin, origins, f"{path}.{key}")
    else:
        origins[path] = origin


def _providers(env: Mapping[str, Any], folder: Path) -> dict[str, Provider]:
    own = env.get(_PROVIDERS, {})
    if not isinstance(own, Mapping) or not all(hasattr(one, "fetch") for one in own.values()):
        raise UsageError('env["providers"] maps a prefix to an object with the method fetch')
    return {
        "env": Variables(dot_env(folder)),
        "file": SecretFiles(folder),
        "keyring": Keyring(),
        "vault": Vault(),
        **own,
    }


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return MappingProxyType({key: _frozen(one) for key, one in value.items()})
    if isinstance(value, list):
        return tuple(_frozen(one) for one in value)
    return value
