import Engine

/// What a render will do, computed before it starts: phases, sizes, views, UNet calls, bytes.
package struct RenderPlan: Sendable {
    /// One phase and the views that each of its steps is cut into.
    package struct PhasePlan: Sendable {
        package let phase: Phase
        /// Local windows; nil in phase 1, which is rendered whole.
        package let windows: WindowGrid?
        /// Overlapping windows for the last steps, if the windows of the other steps do not overlap.
        private let closing: WindowGrid?
        /// Dilated sub-lattices; nil in phase 1.
        package let lattices: LatticeGrid?
        /// The steps of a refinement stage; nil if the phase uses the sampler's own schedule.
        package let refinement: RefineStage?
        /// Weights of each step of the schedule, by step. A second evaluation within a step counts as a step.
        package let weights: [CosineSchedule.Weights]
        /// The steps that are run: all of them, or only the last ones with an init image; none if the phase is fully
        /// constrained to that image.
        package let steps: Range<Int>
        /// The constraint to the init image; nil for none.
        package let constraint: PictureConstraint?
        private let skipBelow: Float
        /// Number of prompts joined by AND; nil for a single one.
        private let joined: Int?
        /// Whether the network takes the guidance scale as an input.
        private let embedsGuidance: Bool
        /// Whether the model edits a picture, and is guided by it, too.
        private let isEdited: Bool
        /// Guidance scale of each step of the schedule, by step.
        private let guidance: [Float]

        init(
            _ phase: Phase,
            _ settings: RenderSettings,
            model: ModelGeometry,
            weights: [CosineSchedule.Weights],
            guidance: [Float],
            starts: [Int],
            refinement: RefineStage?,
            joined: Int?
        ) {
            (self.phase, self.guidance) = (phase, guidance)
            self.joined = joined
            (embedsGuidance, isEdited) = (model.embedsGuidance, model.pictureInput == .editing)
            // With an init image, the first phase is refined, too.
            // With a mask, something must be generated first.
            let isRefined = phase.scale > 1 || (settings.picture != nil && !settings.isMasked)
            self.refinement = isRefined ? refinement : nil
            if let stage = self.refinement {
                (self.weights, constraint, steps, skipBelow) = ([], nil, 0..<stage.count, 0)
                windows = WindowGrid(
                    latent: phase.latent,
                    window: model.nativeLatentSide,
                    stride: settings.stride(for: model),
                    border: .inside
                )
                (closing, lattices) = (nil, nil)
                return
            }
            self.weights = weights
            constraint = settings.picture?.constraint(phase.latent, vaeFactor: model.vaeFactor)
            // Some samplers evaluate the network twice per step: a phase must start with a whole step.
            let skipped = settings.picture?.skipped(of: starts.count) ?? 0
            let first = skipped < starts.count ? starts[skipped] : weights.count
            steps = (constraint?.isWhole == true ? weights.count : first)..<weights.count
            skipBelow = Float(settings.skipBelow)
            guard phase.scale > 1 else {
                (windows, closing, lattices) = (nil, nil, nil)
                return
            }
            func grid(_ stride: WindowStride) -> WindowGrid {
                WindowGrid(
                    latent: phase.latent,
                    window: model.nativeLatentSide,
                    stride: stride,
                    border: settings.border
                )
            }
            let stride = settings.stride(for: model)
            windows = grid(stride)
            closing = stride == .window ? grid(RenderSettings.defaultStride(for: model)) : nil
            lattices = LatticeGrid(
                latent: phase.latent,
                dilation: phase.dilation,
                border: settings.border
            )
        }

        /// Whether each step of the phase is a single view of the whole latent.
        package var isWhole: Bool { windows == nil }

        /// The last 1/16 of the steps, rounded up, use overlapping windows even if the other steps do not, because no
        /// later step would smooth the seams of the last prediction.
        package static let closingShare = 16

        /// Local windows of a step; nil in phase 1.
        package func windows(at step: Int) -> WindowGrid? {
            guard refinement == nil else { return windows }
            let last = (weights.count + Self.closingShare - 1) / Self.closingShare
            return step >= weights.count - last ? closing ?? windows : windows
        }

        /// Number of views at a step.
        package func views(at step: Int) -> Int {
            guard let windows = windows(at: step) else { return 1 }
            return (usesWindows(at: step) ? windows.count : 0)
                + (usesLattices(at: step) ? lattices?.count ?? 0 : 0)
        }

        /// Guidance scale at a step.
        package func guidance(at step: Int) -> Float {
            refinement?.guidance(at: step) ?? guidance[step]
        }

        /// UNet evaluations per view at a step: two with guidance, three if the model edits a picture. If AND joins
        /// prompts: one per prompt, plus one.
        package func evaluationsPerView(at step: Int) -> Int {
            let count = joined.map { $0 + 1 } ?? (guidance(at: step) > 1 && !embedsGuidance ? 2 : 1)
            return count > 1 && isEdited ? count + 1 : count
        }

        /// Whether local windows are evaluated at a step, that is, whether their weight, 1 − c^a₂, is large enough.
        package func usesWindows(at step: Int) -> Bool {
            refinement != nil || counts(1 - weights[step].dilated)
        }

        /// Whether dilated sub-lattices are evaluated at a step, that is, whether their weight, c^a₂, is large enough.
        package func usesLattices(at step: Int) -> Bool {
            refinement == nil && counts(weights[step].dilated)
        }

        private func counts(_ share: Float) -> Bool { share > 0 && share >= skipBelow }

        /// Number of views over all steps that are run.
        package var views: Int { steps.reduce(0) { $0 + views(at: $1) } }

        /// Latent pixels in all views of a step.
        package func viewArea(at step: Int) -> Int {
            guard let windows = windows(at: step) else { return phase.latent.area }
            return (usesWindows(at: step) ? windows.count * windows.window.area : 0)
                + (usesLattices(at: step) ? lattices?.padded.area ?? 0 : 0)
        }

        /// Latent pixels in the views of all steps.
        package var viewArea: Int { steps.reduce(0) { $0 + viewArea(at: $1) } }
    }

    package let settings: RenderSettings
    package let model: ModelGeometry
    package let phases: [PhasePlan]
    package let decode: TilePlan
    /// How the init image is encoded, by phase: for the first phase, and for those that are constrained to it.
    package let encodes: [Int: TilePlan]
    /// How the network's additional input is encoded, by phase.
    package let inputEncodes: [Int: TilePlan]
    /// How a finished phase is decoded, and encoded again at the size of the next one, by the index of the next one;
    /// empty if the latent itself is enlarged.
    package let enlargements: [Int: Enlargement]

    /// Decoding, and encoding again at another size.
    package struct Enlargement: Sendable {
        package let decode: TilePlan
        package let encode: TilePlan
    }

    /// - Parameters:
    ///   - settings: the render's settings
    ///   - model: the geometry of the model
    ///   - scheduler: the sampler of the settings
    ///   - promptWeights: weights of the prompts that AND joins
    /// - Throws: `InputError` naming the invalid setting
    package init(
        _ settings: RenderSettings,
        model: ModelGeometry,
        scheduler: Scheduler,
        promptWeights: [Float] = [1]
    ) throws(InputError) {
        try settings.validate(for: model)
        self.settings = settings
        self.model = model
        let weights = scheduler.positions.map {
            settings.cosine.weights(timestep: $0, trainTimesteps: scheduler.trainTimesteps)
        }
        let (target, factor) = (settings.size, model.vaeFactor)
        let guidance = scheduler.timesteps.indices.map {
            settings.guidance(settings.guidance, atNoiseLevel: scheduler.noiseLevel(at: $0))
        }
        let refinement = try settings.refinement.map { refine throws(InputError) in
            try RefineStage(refine, scheduler: scheduler, guidance: settings.guidance)
        }
        func planned(_ phase: Phase) -> PhasePlan {
            PhasePlan(
                phase,
                settings,
                model: model,
                weights: weights,
                guidance: guidance,
                starts: scheduler.starts,
                refinement: refinement,
                joined: PromptPart.areJoined(promptWeights) ? promptWeights.count : nil
            )
        }
        let ladder: Ladder
        switch settings.ladder {
        case .everyScale where refinement != nil:
            ladder = Ladder(steadilyTo: target, nativeSide: model.nativeSide)
        case .everyScale: ladder = Ladder(target: target, nativeSide: model.nativeSide)
        case .given(let given): ladder = given
        case .cheapest:
            let top = Ladder(target: target, nativeSide: model.nativeSide).scales.last ?? 1
            ladder = try Ladder(cheapestTo: target, nativeSide: model.nativeSide) {
                scale throws(InputError) in
                let phase = try Phase(scale: scale, of: top, target: target, vaeFactor: factor)
                return planned(phase).views
            }
        }
        let all = try ladder.phases(target: target, vaeFactor: factor).map(planned)
        let phases = Array(all[Self.beginning(of: all, settings, vaeFactor: factor)...])
        func encode(_ index: Int) -> TilePlan {
            TilePlan(latent: phases[index].phase.latent, factor: factor, network: model.encoder)
        }
        let encoded =
            settings.picture == nil
            ? []
            : phases.indices.filter {
                $0 == 0 || phases[$0].constraint != nil || settings.isMasked
            }
        encodes = Dictionary(
            uniqueKeysWithValues: encoded.map { ($0, encode($0)) }
        )
        let pictured =
            model.pictureInput == .none ? [] : phases.indices.filter { !phases[$0].steps.isEmpty }
        inputEncodes = Dictionary(uniqueKeysWithValues: pictured.map { ($0, encode($0)) })
        self.phases = phases
        func decode(_ latent: Extent) -> TilePlan {
            TilePlan(decoding: latent, margin: settings.decodeMargin, model: model)
        }
        enlargements = Dictionary(
            uniqueKeysWithValues: phases.indices.dropFirst().compactMap { index in
                guard phases[index].refinement != nil || settings.upscaleMode == .image
                else { return nil }
                let (from, to) = (phases[index - 1].phase.latent, phases[index].phase.latent)
                let enlargement = Enlargement(
                    decode: decode(from),
                    encode: TilePlan(latent: to, factor: factor, network: model.encoder)
                )
                return (index, enlargement)
            }
        )
        self.decode = decode(phases[phases.count - 1].phase.latent)
    }

    /// The first phase that is rendered. Phases that the init image already determines are skipped: a render starts
    /// with the last phase that is fully constrained to it, and refinement with the first phase that is larger than it.
    private static func beginning(
        of all: [PhasePlan],
        _ settings: RenderSettings,
        vaeFactor: Int
    ) -> Int {
        guard settings.refinement != nil, !settings.isMasked,
            let frame = settings.picture?.frame
        else {
            return all.lastIndex { $0.steps.isEmpty } ?? 0
        }
        let shown = frame.rows.upperBound - frame.rows.lowerBound
        return all.firstIndex { Double($0.phase.latent.height * vaeFactor) > shown }
            ?? all.count - 1
    }

    /// All decodes of the render.
    package var decodes: [TilePlan] { [decode] + enlargements.values.map(\.decode) }
    package var allEncodes: [TilePlan] {
        Array(encodes.values) + Array(inputEncodes.values) + enlargements.values.map(\.encode)
    }

    /// The settings with the model's defaults filled in: the stride, and the scales that are rendered.
    package var resolvedSettings: RenderSettings {
        var resolved = settings
        resolved.stride = settings.stride(for: model)
        resolved.ladder = .given(Ladder(of: phases.map(\.phase)))
        return resolved
    }

    /// Size of phase `index` in pixels; phases count from 0.
    package func pixels(ofPhase index: Int) -> Extent {
        let latent = phases[index].phase.latent
        return Extent(
            height: latent.height * model.vaeFactor,
            width: latent.width * model.vaeFactor
        )
    }

    /// Number of steps run in each phase that uses the sampler's own timesteps.
    package var stepsRun: Int {
        settings.steps - (settings.picture?.skipped(of: settings.steps) ?? 0)
    }

    /// Number of views in the whole render.
    package var views: Int { phases.reduce(0) { $0 + $1.views } }

    /// Number of views in the steps before a state.
    package func views(before state: SamplerState) -> Int {
        let whole = phases.prefix(state.phase).reduce(0) { $0 + $1.views }
        guard state.phase < phases.count else { return whole }
        let phase = phases[state.phase]
        return phase.steps.prefix { $0 < state.step }.reduce(whole) { $0 + phase.views(at: $1) }
    }

    /// UNet evaluations at batch size 1: two per guided view.
    package var evaluations: Int {
        phases.reduce(0) { sum, phase in
            phase.steps.reduce(sum) {
                $0 + phase.views(at: $1) * phase.evaluationsPerView(at: $1)
            }
        }
    }

    /// Bytes of latents and predictions sent to and from workers.
    package var viewBytes: Int {
        phases.indices.reduce(0) { $0 + bytes(ofArea: movedArea(ofPhase: $1)) }
    }

    /// The same for one step of a phase, if the step uses both windows and lattices.
    package func bytesPerStep(ofPhase index: Int) -> Int {
        let phase = phases[index]
        guard let windows = phase.windows else {
            return bytes(ofArea: movedArea(ofPhase: index)) / max(1, phase.steps.count)
        }
        let locals = phase.steps.contains(where: phase.usesWindows)
        let dilated = phase.steps.contains(where: phase.usesLattices)
        return bytes(
            ofArea: (locals ? windows.count * windows.window.area : 0)
                + (dilated ? phase.lattices?.padded.area ?? 0 : 0)
        )
    }

    /// Latent pixels that a phase sends to workers. Phase 1 counts only if workers render it; each half of guidance is
    /// then sent to a different worker.
    private func movedArea(ofPhase index: Int) -> Int {
        guard phases[index].isWhole else { return phases[index].viewArea }
        switch settings.globalPass {
        case .coordinator: return 0
        case .workers:
            let phase = phases[index]
            return phase.steps.reduce(0) {
                $0 + phase.viewArea(at: $1) * phase.evaluationsPerView(at: $1)
            }
        }
    }

    /// Bytes on the wire, both directions.
    private func bytes(ofArea area: Int) -> Int {
        area * (2 * model.latentChannels + model.pictureChannels) * settings.wire.size
    }

    /// Bytes sent to decode the final picture and the ones that are enlarged, including the passes that measure
    /// statistics and collect tokens. This is the best case, since the number of passes depends on the picture.
    package var decodeBytes: Int {
        decodes.reduce(0) {
            $0 + settings.wire.size * $1.numbersMoved(latentChannels: model.latentChannels)
        }
    }

    /// The same for encoding the init image and the pictures that are enlarged.
    package var encodeBytes: Int {
        allEncodes.reduce(0) {
            $0 + settings.wire.size * $1.numbersMoved(latentChannels: model.latentChannels)
        }
    }
}
