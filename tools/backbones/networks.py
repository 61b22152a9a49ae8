"""Networks of timm and torchvision by name, their weights, and their taps: modules whose outputs are feature maps."""

import difflib
from dataclasses import dataclass, field

import timm
import torch
import torchvision
from safetensors.torch import load_file

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Keys under which training programs store the weights in a checkpoint.
WRAPPERS = ("state_dict", "model", "state_dict_ema", "model_ema", "teacher")
PREFIXES = ("module.", "backbone.")


class ExportError(Exception):
    """What is wrong, what was expected, and what to do."""


def first_line(error):
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(". ")


@dataclass
class Network:
    name: str
    module: torch.nn.Module
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    # Whether position embeddings tie the network to the size that it was made for.
    fixed: bool = False
    # timm's conversion of checkpoints in other formats and of position embeddings of other sizes.
    convert: object = field(default=None, repr=False)


def create(name, size, pretrained=False):
    """The network `timm:NAME` or `torchvision:NAME` for inputs of `size` (height, width)."""
    library, _, of_library = name.partition(":")
    if library not in LIBRARIES or not of_library:
        raise ExportError(f"the network is '{name}'; expected timm:NAME or torchvision:NAME")
    names, make = LIBRARIES[library]
    # timm's names may end in a tag of the weights: resnet18.a1_in1k.
    if of_library.partition(".")[0] not in names():
        near = difflib.get_close_matches(of_library, names(), 5, 0.5)
        hint = f"; similar names: {', '.join(near)}" if near else ""
        raise ExportError(f"{library} {VERSIONS[library]} has no network '{of_library}'{hint}")
    try:
        network = make(of_library, size, pretrained)
    except ExportError:
        raise
    except Exception as error:
        if not pretrained:
            raise ExportError(f"{library} cannot make '{of_library}' for {size[0]} x {size[1]}: {error}") from error
        raise ExportError(
            f"the weights of '{name}' cannot be downloaded: {first_line(error)}. --pretrained requires "
            "network access; elsewhere give the weights with --weights FILE"
        ) from error
    _, patch = tokens_of(network.module)
    if network.fixed and patch and any(side % length for side, length in zip(size, patch)):
        raise ExportError(
            f"{name} has patches of {patch[0]} x {patch[1]}; --size must be multiples of them, not {size[0]} x {size[1]}"
        )
    network.module.eval()
    return network


def of_timm(name, size, pretrained):
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise ExportError(f"timm {timm.__version__} has no weights of that tag for '{name}'; leave out what follows the dot")
    if pretrained and not config.has_weights:
        raise ExportError(f"timm has no weights for '{name}'; give them with --weights FILE")
    fixed = bool(config.fixed_input_size)
    arguments = {"img_size": size} if fixed else {}
    module = timm.create_model(name, pretrained=pretrained, **arguments)
    package = __import__(type(module).__module__, fromlist=["checkpoint_filter_fn"])
    convert = getattr(package, "checkpoint_filter_fn", None)
    return Network(f"timm:{name}", module, tuple(config.mean), tuple(config.std), fixed, convert)


def of_torchvision(name, size, pretrained):
    weights = torchvision.models.get_model_weights(name).DEFAULT
    transforms = weights.transforms()
    fixed = name.startswith(("vit_", "maxvit"))
    arguments = {}
    if fixed:
        if size[0] != size[1]:
            raise ExportError(f"torchvision makes '{name}' for squares alone; give --size N")
        arguments = {"image_size": size[0]} if name.startswith("vit_") else {"input_size": size}
    module = torchvision.models.get_model(name, weights=weights if pretrained else None, **arguments)
    return Network(f"torchvision:{name}", module, tuple(transforms.mean), tuple(transforms.std), fixed)


def classification_models():
    return torchvision.models.list_models(module=torchvision.models)


LIBRARIES = {"timm": (timm.list_models, of_timm), "torchvision": (classification_models, of_torchvision)}
VERSIONS = {"timm": timm.__version__, "torchvision": torchvision.__version__}


def randomise(module, name, size, seed):
    """Random weights, with statistics in the batch norms as training leaves them."""
    torch.manual_seed(seed)
    fresh = create(name, size).module
    norms = [part for part in fresh.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        fresh(torch.randn(2, 3, *size))
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.uniform_(-0.2, 0.2)
    module.load_state_dict(fresh.state_dict())


def read_weights(network, path):
    """A state dict from a .safetensors file, or from one that torch.save wrote."""
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ExportError(f"cannot read the weights '{path}': {error.strerror or error}") from error
    except Exception as error:
        raise ExportError(
            f"'{path}' has no weights that can be read ({first_line(error)}); expected a state dict as torch.save or safetensors "
            "writes it"
        ) from error
    if not isinstance(state, dict):
        raise ExportError(f"'{path}' has a {type(state).__name__}; expected a state dict: save model.state_dict()")
    for key in WRAPPERS:
        if isinstance(state.get(key), dict):
            state = state[key]
    for prefix in PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    state = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    return network.convert(state, network.module) if network.convert else state


def load_weights(network, path, needed):
    """Loads the tensors named in `needed`, and no others, so that another classifier does no harm."""
    own, state = network.module.state_dict(), read_weights(network, path)
    missing = [name for name in needed if name not in state]
    wrong = [
        f"{name} is {list(state[name].shape)} instead of {list(own[name].shape)}"
        for name in needed
        if name in state and state[name].shape != own[name].shape
    ]
    problems = ([f"{len(missing)} tensors are missing, such as {missing[0]}"] if missing else []) + wrong[:2]
    if problems:
        raise ExportError(
            f"the weights in '{path}' do not fit {network.name}: {'; '.join(problems)}. They must be those of this network"
            + (" and of this --size" if network.fixed else "")
        )
    network.module.load_state_dict({name: state[name] for name in needed}, strict=False)


class Stop(Exception):
    """Ends a pass behind the last tap."""


class Taps(torch.nn.Module):
    """The part of a network up to its last tap; returns the taps' maps."""

    def __init__(self, network, names, size):
        super().__init__()
        self.network = network.module
        self.names = names
        self.prefix, self.patch = tokens_of(network.module)
        self.size = size
        self.channels_last = is_channels_last(network.module)
        self.found = {}
        modules = dict(network.module.named_modules())
        for name in names:
            modules[name].register_forward_hook(lambda module, inputs, output, name=name: self.keep(name, output))

    def keep(self, name, output):
        # A copy: a layer that works in place may follow.
        self.found[name] = as_map(output, self.prefix, self.patch, self.size, self.channels_last).clone()
        if len(self.found) == len(self.names):
            raise Stop

    def forward(self, image):
        self.found = {}
        try:
            self.network(image)
        except Stop:
            pass
        return tuple(self.found[name] for name in self.names)


def tokens_of(module):
    """The number of tokens before those of the patches, and the patches' height and width."""
    if isinstance(module, torchvision.models.VisionTransformer):
        return 1, (module.patch_size, module.patch_size)
    patch = getattr(getattr(module, "patch_embed", None), "patch_size", None)
    return getattr(module, "num_prefix_tokens", 0), patch and tuple(patch)


def is_channels_last(module):
    return getattr(module, "output_fmt", "NCHW") == "NHWC" or isinstance(module, torchvision.models.SwinTransformer)


def as_map(output, prefix, patch, size, channels_last):
    """[N, channels, rows, columns] of a map or of a sequence of tokens."""
    if not isinstance(output, torch.Tensor) or output.dim() not in (3, 4):
        raise TypeError("no map")
    if output.dim() == 4:
        return output.permute(0, 3, 1, 2) if channels_last else output
    if patch is None:
        raise TypeError("no map")
    rows, columns = (side // length for side, length in zip(size, patch))
    if int(output.shape[1]) != prefix + rows * columns:
        raise TypeError("no map")
    return output[:, prefix:].transpose(1, 2).unflatten(2, (rows, columns))


def list_taps(network, size):
    """For each module whose output is a map: its name and the map's channels, rows and columns; None if it runs repeatedly."""
    prefix, patch = tokens_of(network.module)
    channels_last = is_channels_last(network.module)
    taps, handles = {}, []

    def note(name, output):
        try:
            shape = tuple(as_map(output, prefix, patch, size, channels_last).shape[1:])
        except TypeError:
            return
        taps[name] = None if name in taps else shape

    for name, module in network.module.named_modules():
        if name:
            hook = lambda module, inputs, output, name=name: note(name, output)
            handles.append(module.register_forward_hook(hook))
    try:
        with torch.no_grad():
            network.module(torch.zeros(1, 3, *size))
    except Exception as error:
        raise ExportError(
            f"{network.name} does not take an input of {size[0]} x {size[1]} (height x width): {error}; set --size"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return taps


def needed_by(taps, size):
    """Names of the parameters and statistics that the taps depend on."""
    network, called, handles = taps.network, set(), []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(lambda module, inputs, name=name: called.add(name)))
    outputs = taps(torch.randn(1, 3, *size))
    for handle in handles:
        handle.remove()
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(sum(map(torch.sum, outputs)), list(parameters.values()), allow_unused=True)
    needed = [name for name, gradient in zip(parameters, gradients) if gradient is not None]
    stored = network.state_dict()
    for name, _ in network.named_buffers():
        if name in stored and name.rpartition(".")[0] in called and not name.endswith("num_batches_tracked"):
            needed.append(name)
    return needed
