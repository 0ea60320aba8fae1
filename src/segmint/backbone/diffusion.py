"""The backbone on a diffusers pipeline: drawing and looking, with capture.

Drawing is diffusers' own `__call__`: every scheduler and every model that it can run, runs here unchanged.
Looking is one call of the network at a chosen noise level.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from segmint.artifacts import AnyImage, DenoisingEvidence, Generation, Grid, Image, PromptSpec, TokenMaps
from segmint.attention import CaptureRequest, DenoisingRequest, MapRequest
from segmint.backbone.agreement import AgreementTap, chosen
from segmint.backbone.base import Callback, ModelInfo, Outcome, image_size, noise_levels
from segmint.backbone.capture import Capture, capturing
from segmint.backbone.denoising import Denoiser
from segmint.backbone.encoding import TextEncoder
from segmint.backbone.families import family_of
from segmint.backbone.family import (
    AttentionLayer,
    Embedding,
    Family,
    Halves,
    largest_grid,
    noise_shape,
    select,
)
from segmint.backbone.guidance import GuidanceTap
from segmint.backbone.latents import draw_noise, item_generators, to_pixels
from segmint.backbone.schedulers import check_steps
from segmint.backbone.settings import ObserveSettings, SamplingSettings
from segmint.backbone.taps import AffinityTap, FeatureTap, MapTap, TextBatch
from segmint.backbone.text import Text, TextReader, require_phrases
from segmint.errors import ConfigError, DeviceError, GenerationError, PromptError

REMEMBERED_TEXTS = 4096
"""Tokenised texts kept at most: more than a batch asks for, and a few MB."""


@dataclass(slots=True, kw_only=True)
class DiffusersBackbone:
    """A `Backbone` that drives a pipeline of any family. Not for two threads at once."""

    pipe: Any
    info: ModelInfo
    family: Family = field(init=False)
    network: Any = field(init=False)
    layers: tuple[AttentionLayer, ...] = field(init=False)
    reader: TextReader = field(init=False)
    encoder: TextEncoder = field(init=False)
    texts_leave: Callable[[], None] | None = None
    """Sends the text encoders away, where they are not to stay while the network runs."""
    walked: set[tuple[str, int]] = field(default_factory=set)
    """Schedulers and numbers of steps that were tried."""
    texts: dict[tuple[Any, ...], tuple[Text, ...]] = field(default_factory=dict)
    """Tokenised texts by what was asked."""

    def __post_init__(self) -> None:
        self.family = family_of(self.pipe.config)
        self.network, self.layers = getattr(self.pipe, self.family.network), self.family.layers(self.pipe)
        self.reader = self.family.reader(self.pipe)
        self.encoder = TextEncoder(pipe=self.pipe, family=self.family)

    def check(self, specs: Sequence[PromptSpec], sampling: SamplingSettings, capture: CaptureRequest) -> None:
        """As `Backbone.check`."""
        image_size(self.info, sampling.height_px, sampling.width_px)
        if (sampling.guidance or 0) > 1 and not self.family.describe(self.pipe).guided:
            raise ConfigError(
                f"model {self.info.id} takes no guidance (it was trained to do without); --guidance asks for "
                f"{sampling.guidance:g}: leave it out"
            )
        guidance = self.info.default_guidance if sampling.guidance is None else sampling.guidance
        if sampling.negative_prompt and "unconditional" not in self.family.halves(self.pipe, guidance).names:
            raise ConfigError(
                f"model {self.info.id} sees no negative prompt at guidance {guidance:g}; leave "
                "--negative-prompt out, or draw with more guidance where the model takes it"
            )
        steps = sampling.steps or self.info.default_steps
        if (self.info.scheduler, steps) not in self.walked:
            check_steps(self.pipe.scheduler, steps)
            self.walked.add((self.info.scheduler, steps))
        self._check_texts(specs, capture)

    def _check_texts(self, specs: Sequence[PromptSpec], capture: CaptureRequest) -> None:
        for request in capture.maps:
            select(self.layers, "cross", request)
            for spec in specs:
                self._texts(spec, request)
        if capture.agreements:
            chosen(self.layers)

    def generate(
        self,
        specs: Sequence[PromptSpec],
        sampling: SamplingSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """As `Backbone.generate`."""
        if not specs:
            return []
        size = image_size(self.info, sampling.height_px, sampling.width_px)
        guidance = self.info.default_guidance if sampling.guidance is None else sampling.guidance
        generators = item_generators(specs)
        halves = self.family.halves(self.pipe, guidance)
        shape = noise_shape(self.family, self.pipe, size)
        with torch.inference_mode(), _out_of_memory(self.info, len(specs)):
            steps = sampling.steps or self.info.default_steps
            reading = self._capture(specs, capture, shape[1:], halves, steps)
            positive, negative = self._prompts(specs, halves, sampling.negative_prompt)
            self._leave_texts(specs, capture)
            noise = draw_noise(generators, shape)
            with capturing(self.network, reading):
                own = self.family.arguments(
                    self.pipe, noise, positive, negative, guidance=guidance, on_step=callback
                )
                drawn = self.pipe(
                    **own,
                    height=size[0],
                    width=size[1],
                    num_inference_steps=steps,
                    generator=generators,
                    output_type="pt",
                )
            withheld = getattr(drawn, "nsfw_content_detected", None) or [False] * len(specs)
            images = [
                to_pixels(spec, image, withheld=bool(black))
                for spec, image, black in zip(specs, drawn.images, withheld, strict=True)
            ]
            return self._outcomes(specs, images, reading, capture.denoising)

    def observe(
        self,
        images: Sequence[AnyImage],
        specs: Sequence[PromptSpec],
        observation: ObserveSettings,
        capture: CaptureRequest,
        callback: Callback | None = None,
    ) -> list[Outcome]:
        """As `Backbone.observe`; images of one size go through the network together."""
        if len(images) != len(specs):
            raise ConfigError(f"{len(images)} images were given for {len(specs)} items; expected as many")
        by_size: dict[Grid, list[int]] = {}
        for place, image in enumerate(images):
            by_size.setdefault(image_size(self.info, *image.shape[:2]), []).append(place)
        self._check_texts(specs, capture)
        found: dict[int, Outcome] = {}
        for places in by_size.values():
            own = [images[place] for place in places], [specs[place] for place in places]
            with torch.inference_mode(), _out_of_memory(self.info, len(places)):
                outcomes = self._observe(*own, observation, capture, callback)
            found |= dict(zip(places, outcomes, strict=True))
        return [found[place] for place in range(len(images))]

    def _observe(
        self,
        images: Sequence[AnyImage],
        specs: Sequence[PromptSpec],
        observation: ObserveSettings,
        capture: CaptureRequest,
        callback: Callback | None,
    ) -> list[Outcome]:
        passes = [step for step in self._noise_levels(observation) for _ in range(observation.noise_draws)]
        features = capture.features and replace(capture.features, calls=len(passes))
        wanted = replace(capture, features=features, guidance=False)
        # Any scale above 1 makes both halves; what is predicted is thrown away.
        guidance = max(2.0, self.info.default_guidance) if observation.guidance else 1.0
        halves = self.family.halves(self.pipe, guidance if observation.guidance else 0.0)
        generators = item_generators(specs)
        clean = self.family.clean(self.pipe, images)
        reading = self._capture(specs, wanted, (clean.shape[2], clean.shape[3]), halves, len(passes))
        positive, negative = self._prompts(specs, halves, "")
        self._leave_texts(specs, capture)
        calls = [negative if half == "unconditional" else positive for half in halves.names]
        if halves.by == "batch":
            calls = [[each for call in calls for each in call or ()]]
        with capturing(self.network, reading):
            for done, step in enumerate(passes, start=1):
                noise = draw_noise(generators, tuple(clean.shape[1:])).to(clean)
                noisy, _ = self.family.noised(self.pipe, clean, noise, step)
                for call in calls:
                    several = torch.cat([noisy] * (len(call or ()) // len(noisy)))
                    self.family.predict(self.pipe, several, step, call or (), guidance)
                if callback:
                    callback(done, len(passes))
        return self._outcomes(specs, images, reading, capture.denoising, clean)

    def _noise_levels(self, observation: ObserveSettings) -> tuple[int, ...]:
        """The timesteps to look at, as `noise_levels` has them; those that the model has not are refused."""
        levels = int(self.pipe.scheduler.config.num_train_timesteps)
        beyond = [step for step in observation.timesteps if step >= levels]
        if beyond:
            raise ConfigError(
                f"the model has the timesteps 0 to {levels - 1}; --timesteps asks for {beyond[0]}"
            )
        return noise_levels(self.info, observation.timesteps)

    def _prompts(
        self, specs: Sequence[PromptSpec], halves: Halves, negative: str
    ) -> tuple[list[Embedding], list[Embedding] | None]:
        """Embeddings of the items' prompts, and of their negative prompts where the model sees those."""
        positive = [self.encoder.encode(spec.prompt) for spec in specs]
        if "unconditional" not in halves.names:
            return positive, None
        negatives = [negative if spec.negative_prompt is None else spec.negative_prompt for spec in specs]
        return positive, [self.encoder.encode(text or None, negative=True) for text in negatives]

    def _leave_texts(self, specs: Sequence[PromptSpec], capture: CaptureRequest) -> None:
        """Let the text encoders go, once what will be asked for after drawing is encoded too."""
        if self.texts_leave is None:
            return
        if capture.denoising:
            denoiser = self._denoiser(capture.denoising)
            for spec in specs:
                denoiser.texts(spec, range(min(len(spec.classes), capture.denoising.most)))
        self.texts_leave()

    def _denoiser(self, request: DenoisingRequest) -> Denoiser:
        return Denoiser(family=self.family, pipe=self.pipe, encoder=self.encoder, request=request)

    def _texts(self, spec: PromptSpec, request: MapRequest) -> tuple[Text, ...]:
        """The texts of an item's request, tokenised once as long as they are remembered."""
        phrases = tuple(phrase for group in spec.phrases for phrase in group)
        text = {"classes": "", "prompt": spec.prompt, "given": request.given}[request.text]
        key = (request.text, text, phrases, request.strict, request.padded)
        if key not in self.texts:
            if len(self.texts) >= REMEMBERED_TEXTS:
                self.texts.clear()
            try:
                self.texts[key] = self._tokenised(text, phrases, request)
            except PromptError as error:
                raise PromptError(f"item {spec.item_id}: {error}") from None
        return self.texts[key]

    def _tokenised(self, text: str, phrases: tuple[str, ...], request: MapRequest) -> tuple[Text, ...]:
        if request.text == "classes":
            texts = self.reader.class_texts(phrases)
            return tuple(replace(each, padded=request.padded and not each.length) for each in texts)
        found = self.reader.prompt_text(text, phrases, padded=request.text == "prompt")
        return (require_phrases(found, self.reader.limit) if request.strict else found,)

    def _capture(
        self, specs: Sequence[PromptSpec], request: CaptureRequest, latent: Grid, halves: Halves, steps: int
    ) -> Capture:
        capture = Capture(layers=self.layers, items=len(specs), latent=latent, halves=halves)
        batches: dict[tuple[str, str, bool], TextBatch] = {}

        def encoded(wanted: MapRequest) -> TextBatch:
            key = (wanted.text, wanted.given, wanted.padded)
            if key not in batches:
                batches[key] = self.encoder.batch([self._texts(spec, wanted) for spec in specs])
            return batches[key]

        for each in request.maps:
            layers = select(self.layers, "cross", each, latent)
            capture.maps.append(MapTap(request=each, layers=layers, texts=encoded(each), items=len(specs)))
        for weighed in request.agreements:
            tap = AgreementTap(
                request=weighed,
                layers=chosen(self.layers),
                texts=encoded(MapRequest(text="prompt")),
                latent=latent,
                items=len(specs),
                first=steps - 1,
            )
            capture.agreements.append(tap)
        if request.guidance and len(halves.names) > 1:
            capture.guidance = GuidanceTap(latent=latent, channels=self.network.config.in_channels)
        if request.features:
            layers = select(self.layers, "self", request.features)
            capture.features = FeatureTap(request=request.features, layers=layers, items=len(specs))
        if request.affinity:
            layers = select(self.layers, "self", request.affinity, latent)
            capture.affinity = AffinityTap(request=request.affinity, layers=layers, items=len(specs))
        return capture

    def _outcomes(
        self,
        specs: Sequence[PromptSpec],
        images: Sequence[Image | GenerationError],
        reading: Capture,
        denoising: DenoisingRequest | None,
        clean: Tensor | None = None,
    ) -> list[Outcome]:
        finished = time.perf_counter()
        maps, heads, affinities = reading.token_maps(), reading.heads(), reading.affinities()
        grid = largest_grid(self.layers, reading.latent)
        evidence = self._denoise(specs, images, maps, grid=grid, request=denoising, clean=clean)
        refining, guided = reading.refining(), reading.guided(grid)
        spent = reading.seconds + time.perf_counter() - finished
        sampling = finished - reading.started - reading.seconds
        return [
            image
            if isinstance(image, GenerationError)
            else Generation(
                spec=spec,
                image=image,
                heads=heads[item],
                maps=maps[item],
                affinity=affinities[item],
                denoising=evidence.get(item),
                guidance=guided[item],
                refining=refining[item],
                prompt_truncated=self.reader.prompt_text(spec.prompt, ()).truncated,
                seconds={"sampling": sampling / len(specs), "capture": spent / len(specs)},
            )
            for item, (spec, image) in enumerate(zip(specs, images, strict=True))
        ]

    def _denoise(
        self,
        specs: Sequence[PromptSpec],
        images: Sequence[Image | GenerationError],
        maps: Sequence[Mapping[str, TokenMaps]],
        *,
        grid: Grid,
        request: DenoisingRequest | None,
        clean: Tensor | None,
    ) -> dict[int, DenoisingEvidence]:
        """Denoising evidence of the items that have an image and classes, by place.

        `clean` are the latents of all images, where they are at hand.
        """
        shown = {
            item: image
            for item, image in enumerate(images)
            if not isinstance(image, GenerationError) and specs[item].classes
        }
        if request is None or not shown:
            return {}
        known = self.family.clean(self.pipe, list(shown.values())) if clean is None else clean[list(shown)]
        request = replace(request, levels=noise_levels(self.info, request.levels))
        denoiser = self._denoiser(request)
        own = [(specs[item], maps[item]) for item in shown]
        found = denoiser.evidence(known, [spec for spec, _ in own], [each for _, each in own], grid)
        return dict(zip(shown, found, strict=True))


@contextmanager
def _out_of_memory(info: ModelInfo, items: int) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        advice = "take a smaller --batch-size" if items > 1 else "take a smaller image, or dtype float16"
        raise DeviceError(f"{info.device} is out of memory with {items} images at once; {advice}") from None
