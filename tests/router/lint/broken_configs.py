"""Configs with one mistake each, and what `litellm-maas config check` says of it: line, field and mend."""

from __future__ import annotations

from dataclasses import dataclass, field

MODEL = "{model_name: maas, litellm_params: {model: maas/openai/gpt-4o}}"
ROUTER = f"""\
model_list:
  - {MODEL}
router_settings: {{timeout: 60}}
"""
PROXY = f"""\
model_list:
  - {MODEL}
litellm_settings:
  custom_provider_map: [{{provider: maas, custom_handler: litellm_maas.maas}}]
  callbacks: [litellm_maas.spend_logger, litellm_maas.router_cooldowns]
router_settings: {{timeout: 60}}
general_settings: {{master_key: os.environ/LITELLM_MASTER_KEY}}
"""


@dataclass(frozen=True)
class Broken:
    """A broken config.

    Attributes:
        content: The file.
        says: What is said of it, without the folder; the first of it, where one mistake brings another.
        beside: Other files in the folder.
        unset: Variables that are not set, of those that a config needs.
        environment: Variables that are set besides.
        level: Whether it is an error or a warning.
        brings_others: Whether more is said, because the mistake has consequences.
    """

    name: str
    content: str
    says: str
    beside: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    level: str = "error"
    brings_others: bool = False

    @property
    def is_routers_error(self) -> bool:
        """Whether it is a mistake in a router's file that no router can be made of."""
        return self.level == "error" and "general_set" not in self.content


def router(name: str, replaced: str, by: str, says: str, **rest: object) -> Broken:
    """A router's file with something replaced in it."""
    assert replaced in ROUTER
    return Broken(name, ROUTER.replace(replaced, by, 1), says, **rest)  # type: ignore[arg-type]  # as it says


def proxy(name: str, replaced: str, by: str, says: str, **rest: object) -> Broken:
    """A proxy's config with something replaced in it."""
    assert replaced in PROXY
    return Broken(name, PROXY.replace(replaced, by, 1), says, **rest)  # type: ignore[arg-type]  # as it says


KEY = "sk-1234"
HANDLER = "{provider: maas, custom_handler: litellm_maas.maas}"
MODELS_WITH_SETTINGS = f"model_list:\n  - {MODEL}\nlitellm_settings: {{drop_params: true}}\n"

BROKEN = [
    router("no YAML", "{model: maas/openai/gpt-4o}", "{model: maas/openai/gpt-4o", "config.yaml:3: is not valid YAML: did not find expected ',' or '}'"),
    router("a key twice", "router_settings", "model_list: []\nrouter_settings", "config.yaml:3: model_list: key is already set on line 1; keep one of the two"),
    router("no mapping", ROUTER, "- just\n- a list\n", "config.yaml:1: is not a mapping; write sections, such as model_list and general_settings"),
    router("unknown section", "model_list:", "models_list: []\nmodel_list:", "config.yaml:1: models_list: unknown key; did you mean model_list?"),
    router("no models", f"model_list:\n  - {MODEL}", "model_list: []", "config.yaml:1: model_list: holds no model; add one, such as {model_name: maas, litellm_params: {model: maas/openai/gpt-4o}}"),
    router("no model", "{model: maas/openai/gpt-4o}", "{order: 1}", "config.yaml:2: model_list.0.litellm_params.model: required key is missing; add it"),
    router("unknown key of a deployment", "model_name:", "name: x, model_name:", "config.yaml:2: model_list.0.name: unknown key; remove it or check its spelling"),
    router("unknown setting", "timeout: 60", "timeout: 60, num_retrys: 2", "config.yaml:3: router_settings.num_retrys: unknown key; did you mean num_retries?"),
    router("negative timeout", "timeout: 60", "timeout: -1", "config.yaml:3: router_settings.timeout: Input should be greater than 0"),
    router("text for a number", "timeout: 60", "timeout: 60, num_retries: twice", "config.yaml:3: router_settings.num_retries: Input should be a valid integer, unable to parse string as an integer"),
    router("unknown group in a fallback", "timeout: 60", "timeout: 60, fallbacks: [{maas: [mass]}]", "config.yaml:3: router_settings.fallbacks.0.maas.0: no group is called 'mass'; did you mean maas?"),
    router("fallback of an unknown group", "timeout: 60", "timeout: 60, fallbacks: [{qwen: [maas]}]", "config.yaml:3: router_settings.fallbacks.0.qwen: no group is called 'qwen'"),
    router("a loop", ROUTER, f"model_list:\n  - {MODEL}\n  - {MODEL.replace('maas,', 'b,')}\n  - {MODEL.replace('maas,', 'c,')}\nrouter_settings:\n  timeout: 60\n  fallbacks:\n    - maas: [b]\n    - b: [c]\n    - c: [maas]\n", "config.yaml:10: router_settings.fallbacks.2.c: leads back to where it began (c -> maas -> b -> c); leave one step out, or put these models into one group, each with its `order`"),
    router("a group behind itself", "timeout: 60", "timeout: 60, content_policy_fallbacks: [{maas: [maas]}]", "config.yaml:3: router_settings.content_policy_fallbacks.0.maas: leads back to where it began (maas -> maas); leave one step out, or put these models into one group, each with its `order`"),
    router("two groups in one entry", "timeout: 60", "timeout: 60, fallbacks: [{maas: [], b: []}]", "config.yaml:3: router_settings.fallbacks.0: holds 2 groups (maas, b); write one entry for each group"),
    router("alias of nothing", "timeout: 60", "timeout: 60, model_group_alias: {best: mas}", "config.yaml:3: router_settings.model_group_alias.best: no group is called 'mas'; did you mean maas?"),
    router("variable that is not set", "gpt-4o}", "gpt-4o, api_key: os.environ/TEAM_KEY}", "config.yaml:2: model_list.0.litellm_params.api_key: the environment variable TEAM_KEY is not set; set it where this runs"),
    router("no key", "timeout: 60", "timeout: 60", "config.yaml:2: model_list.0.litellm_params: has no key; set MAAS_API_KEY where this runs, or write api_key: os.environ/NAME", unset=("MAAS_API_KEY",)),
    router("slip in a model id", "openai/gpt-4o", "opnai/gpt-4o", "config.yaml:2: model_list.0.litellm_params.model: no model 'opnai/gpt-4o' is known; did you mean openai/gpt-4o? If it is right, say so with model_info: {unlisted: true}"),
    router("model id without its prefix", "openai/gpt-4o", "gpt-4o", "config.yaml:2: model_list.0.litellm_params.model: no model 'gpt-4o' is known; did you mean openai/gpt-4o? If it is right, say so with model_info: {unlisted: true}"),
    router("slip in a parameter", "gpt-4o}", "gpt-4o, api_bas: https://a.example/v1}", "config.yaml:2: model_list.0.litellm_params.api_bas: would go to the gateway as a parameter of that name; did you mean api_base?"),
    router("plain http", "gpt-4o}", "gpt-4o, api_base: http://gateway.example/v1}", "config.yaml:2: model_list.0.litellm_params.api_base: the base URL for host 'gateway.example' is plain http, which would send your key in clear text; write https://"),
    router("unknown model", "openai/gpt-4o}", "somebody/new-9}, model_info: {unpriced: true}", "config.yaml:2: model_list.0.litellm_params.model: 'somebody/new-9' is not in the catalogue, which is not complete; compare it with `litellm-maas models`; model_info: {unlisted: true} says that it is right", level="warning"),
    router("model without a price", "openai/gpt-4o", "gemini/gemini-2.5-flash", "config.yaml:2: model_list.0.litellm_params.model: no price of gemini/gemini-2.5-flash is known: its calls are recorded as unpriced; price it in MAAS_PRICES, or say with model_info: {unpriced: true} that you know", level="warning"),
    router("key in the file", "gpt-4o}", "gpt-4o, api_key: vn-in-clear}", "config.yaml:2: model_list.0.litellm_params.api_key: a key stands in the file; write os.environ/NAME and set that variable", level="warning"),
    router("a group of two providers", "model_list:", "model_list:\n  - {model_name: maas, litellm_params: {model: openai/gpt-4o, api_key: os.environ/MAAS_API_KEY}}", "config.yaml:3: model_list.1.model_name: the group 'maas' mixes providers (openai/gpt-4o, maas/openai/gpt-4o), so its requests go to either; rename one of them, or say with model_info: {mixed_providers: true} that it is meant"),
    proxy("an include that takes over a group", "model_list:", "include: [others.yaml]\nmodel_list:\n  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: os.environ/MAAS_API_KEY}}", "others.yaml:1: model_list.0.model_name: the group 'gpt' mixes providers (openai/gpt-4o, maas/openai/gpt-4o), so its requests go to either; rename one of them, or say with model_info: {mixed_providers: true} that it is meant", beside={"others.yaml": "model_list: [{model_name: gpt, litellm_params: {model: maas/openai/gpt-4o}}]\n"}),
    proxy("include that is not there", "model_list:", "include: [maas_model.yaml]\nmodel_list:", "config.yaml:1: include.0: there is no file maas_model.yaml; paths start at the folder of the file that includes"),
    proxy("include that is no list", "model_list:", "include: maas_models.yaml\nmodel_list:", "config.yaml:1: include: must be a list of files; write one such as [maas_models.yaml]"),
    proxy("include that erases", "model_list:", "include: [others.yaml]\nmodel_list:", "others.yaml:3: litellm_settings: erases litellm_settings of config.yaml (custom_provider_map, callbacks): LiteLLM's include replaces whole sections; move these settings into the file that includes this one", beside={"others.yaml": MODELS_WITH_SETTINGS}, brings_others=True),
    proxy("include that is no YAML", "model_list:", "include: [others.yaml]\nmodel_list:", "others.yaml:1: is not valid YAML: mapping values are not allowed in this context", beside={"others.yaml": "model_list: a: b\n"}),
    proxy("include with a mistake of its own", "model_list:", "include: [others.yaml]\nmodel_list:", "others.yaml:1: model_list.0.litellm_params: required key is missing; add it", beside={"others.yaml": "model_list: [{model_name: x}]\n"}),
    proxy("provider map without maas", HANDLER, "{provider: acme, custom_handler: litellm_maas.maas}", "config.yaml:4: litellm_settings.custom_provider_map: drops maas: LiteLLM replaces its map of providers by this one; add {provider: maas, custom_handler: litellm_maas.maas}"),
    proxy("provider map that is none", f"[{HANDLER}]", "litellm_maas.maas", "config.yaml:4: litellm_settings.custom_provider_map: must be a list; write one such as [{provider: maas, custom_handler: litellm_maas.maas}]"),
    proxy("no provider map", f"  custom_provider_map: [{HANDLER}]\n  callbacks: [litellm_maas.spend_logger, litellm_maas.router_cooldowns]\n", "  drop_params: true\n", "config.yaml:2: model_list.0.litellm_params.model: nothing makes maas/ known to the proxy; add to litellm_settings custom_provider_map: [{provider: maas, custom_handler: litellm_maas.maas}]", brings_others=True),
    proxy("handler that is a class", "litellm_maas.maas}", "litellm.CustomLLM}", "config.yaml:4: litellm_settings.custom_provider_map.0.custom_handler: litellm.CustomLLM is a class and no instance of CustomLLM; for MaaS write litellm_maas.maas"),
    proxy("handler that cannot be imported", "litellm_maas.maas}", "litellm_mass.maas}", "config.yaml:4: litellm_settings.custom_provider_map.0.custom_handler: litellm_mass.maas cannot be imported (ModuleNotFoundError: No module named 'litellm_mass'); check the dotted name"),
    proxy("callback that is a class", "litellm_maas.spend_logger", "own.Logger, litellm_maas.spend_logger", "config.yaml:5: litellm_settings.callbacks.0: own.Logger is a class, and LiteLLM would never call it; name an instance of it", beside={"own.py": "from litellm.integrations.custom_logger import CustomLogger\nclass Logger(CustomLogger): pass\n"}),
    proxy("callback that is a number", "litellm_maas.spend_logger", "own.number, litellm_maas.spend_logger", "config.yaml:5: litellm_settings.callbacks.0: own.number is 1, and LiteLLM would never call it; name a logger", beside={"own.py": "number = 1\n"}),
    proxy("callback that cannot be imported", "litellm_maas.spend_logger", "litellm_maas.spend_loger, litellm_maas.spend_logger", "config.yaml:5: litellm_settings.callbacks.0: litellm_maas.spend_loger cannot be imported (AttributeError: module 'litellm_maas' has no attribute 'spend_loger'); check the dotted name"),
    proxy("master key that is not set", "timeout: 60", "timeout: 60", "config.yaml:7: general_settings.master_key: the environment variable LITELLM_MASTER_KEY is not set; set it where the proxy runs", unset=("LITELLM_MASTER_KEY",)),
    proxy("unknown group in litellm_settings", "litellm_settings:", "litellm_settings:\n  fallbacks: [{maas: [gpt]}]", "config.yaml:4: litellm_settings.fallbacks.0.maas.0: no group is called 'gpt'"),
    proxy("fallbacks that are none in litellm_settings", "litellm_settings:", "litellm_settings:\n  fallbacks: [maas]", "config.yaml:4: litellm_settings.fallbacks.0: Input should be a valid dictionary"),
    proxy("spend not recorded", "litellm_maas.spend_logger, ", "", "config.yaml:5: litellm_settings.callbacks: spend is not recorded; add litellm_maas.spend_logger to the callbacks, or set MAAS_TRACK_SPEND=1", level="warning"),
    proxy("nothing rests", ", litellm_maas.router_cooldowns", "", "config.yaml:5: litellm_settings.callbacks: a model that answers 403 is called again with each request; add litellm_maas.router_cooldowns to the callbacks", level="warning"),
]  # fmt: skip
