import Engine
import Sampling

extension Checkpoint {
    /// Reads a checkpoint file and checks everything in it.
    ///
    /// - Parameters:
    ///   - path: the file's path
    ///   - plan: the render's plan
    ///   - job: the expected job id
    ///   - noise: the noise source, which is moved to the position of the checkpoint
    /// - Throws: `InputError` naming the file and what is wrong with it
    package init(
        file path: String,
        plan: RenderPlan,
        job: String,
        noise: inout some NoiseSource
    ) throws(InputError) {
        var reader = try CheckpointReader(path, plan: plan, job: job)
        let drawn = try reader.number("drawn", upTo: .max)
        var state = try reader.state()
        let finished = try reader.finished()
        try reader.checkDigest()
        try reader.checkComplete(state)
        try noise.skip(to: drawn)
        if let upsampled = reader.upsampled {
            state.source = (upsampled, try reader.diffusion(noise))
        }
        self.init(
            state: state,
            drawn: drawn,
            finished: finished,
            steps: reader.text["steps"].flatMap { Int($0) },
            phases: reader.text["phases"].flatMap { Int($0) }
        )
    }
}

/// Reads a checkpoint and checks it against the plan of its render.
private struct CheckpointReader {
    private let path: String
    private let plan: RenderPlan
    private let file: SafeTensors
    /// The file's metadata.
    let text: [String: String]
    private let phase: Int
    private let step: Int
    /// The upsampled latent of the phase, if it has one.
    private(set) var upsampled: Tensor?
    /// Tensors that the digest covers, in the order in which they were written.
    private var covered: [(String, Tensor)] = []

    init(_ path: String, plan: RenderPlan, job: String) throws(InputError) {
        (self.path, self.plan) = (path, plan)
        do throws(InputError) {
            file = try SafeTensors(file: path)
        } catch {
            throw error.isSystemLimit ? error : Self.damaged(path, error.problem)
        }
        text = file.metadata
        guard text["format"] == Checkpoint.format else {
            throw Self.damaged(path, "it is not a state of this version of Tessera")
        }
        guard text["job"] == job else { throw Self.damaged(path, "it belongs to another job") }
        phase = try Self.number("phase", upTo: plan.phases.count, in: text, path)
        let longest = plan.phases.map(\.steps.upperBound).max() ?? 0
        step = try Self.number("step", upTo: longest, in: text, path)
    }

    /// The phase that the size of the latent belongs to: the last phase once all steps are done.
    private var last: Int { min(phase, plan.phases.count - 1) }

    /// The state without its noise.
    mutating func state() throws(InputError) -> SamplerState {
        let awaitsEnlargement = text["awaits"] == "enlargement"
        guard
            !awaitsEnlargement
                || (plan.enlargements[phase] != nil && step == plan.phases[phase].steps.lowerBound)
        else {
            throw damaged("its phase has nothing to enlarge")
        }
        guard let latent = try tensor("latent", of: awaitsEnlargement ? last - 1 : last) else {
            throw damaged("its latent is missing")
        }
        var state = SamplerState(latent: latent)
        (state.phase, state.step, state.awaitsEnlargement) = (phase, step, awaitsEnlargement)
        var history: [Tensor] = []
        while let next = try tensor(Checkpoint.historyName(history.count), of: last) {
            history.append(next)
        }
        state.history = Scheduler.History(history)
        upsampled = try tensor("upsampled", of: last)
        state.anchor = try tensor("anchor", of: 0)
        state.picture = try tensor("picture", of: last)
        state.mask = try tensor("mask", of: last, channels: 1)
        if let grid = plan.phases[last].windows {
            let shape = [1, 1, grid.count, plan.model.latentChannels]
            state.means = try tensor("means", shape).map { WindowMeans($0) }
        }
        return state
    }

    /// Rejects a state that lacks what its phase needs.
    func checkComplete(_ state: SamplerState) throws(InputError) {
        // In phase 1 an inpainting model needs nothing but the latent.
        let isPainted =
            plan.settings.isMasked && last == 0 && plan.model.pictureInput == .inpainting
        let startsFromPicture = plan.settings.picture != nil && !isPainted
        let isSourced = phase > 0 || startsFromPicture
        let isMasked = plan.settings.isMasked && !state.awaitsEnlargement && !isPainted
        let isRefining =
            phase < plan.phases.count && plan.phases[phase].refinement != nil
            && !state.awaitsEnlargement
        guard (state.anchor != nil) == (plan.settings.isMasked ? phase > 0 : isSourced),
            phase == plan.phases.count || plan.phases[phase].steps.contains(step),
            (upsampled != nil)
                == (isSourced && !state.awaitsEnlargement && plan.phases[last].refinement == nil
                    && (startsFromPicture || !plan.phases[last].isWhole)),
            (state.picture != nil)
                == ((plan.phases[last].constraint != nil && !state.awaitsEnlargement) || isMasked),
            (state.mask != nil) == isMasked, (state.means != nil) == isRefining
        else { throw damaged("a part of it is missing") }
    }

    /// Latents of finished phases, if they were saved.
    mutating func finished() throws(InputError) -> [Tensor] {
        var finished: [Tensor] = []
        while finished.count < phase,
            let next = try tensor("final.\(finished.count)", of: finished.count)
        {
            finished.append(next)
        }
        return finished
    }

    func checkDigest() throws(InputError) {
        guard Checkpoint.digest(of: covered, text) == text["digest"] else {
            throw damaged("its contents do not match its digest")
        }
    }

    /// The noise that diffuses the upsampled latent.
    func diffusion(_ noise: some NoiseSource) throws(InputError) -> Tensor {
        let (phase, channels) = (plan.phases[last].phase, plan.model.latentChannels)
        return last == 0
            ? try noise.base(latent: phase.latent, channels: channels)
            : try noise.diffusion(of: phase, channels: channels)
    }

    func number(_ key: String, upTo limit: Int) throws(InputError) -> Int {
        try Self.number(key, upTo: limit, in: text, path)
    }

    /// A tensor of the size of a phase's latent, `[1, height, width, channels]`; nil if the file does not contain it.
    private mutating func tensor(
        _ name: String,
        of phase: Int,
        channels: Int? = nil
    ) throws(InputError) -> Tensor? {
        let latent = plan.phases[phase].phase.latent
        let channels = channels ?? plan.model.latentChannels
        return try tensor(name, [1, latent.height, latent.width, channels])
    }

    /// A tensor of the expected shape; nil if the file does not contain it.
    private mutating func tensor(
        _ name: String,
        _ expected: [Int]
    ) throws(InputError) -> Tensor? {
        guard file.info(name) != nil else { return nil }
        let found = try file.tensor(name)
        guard found.shape == expected else {
            throw damaged("its \(name) is \(found.shape), not \(expected)")
        }
        covered.append((name, found))
        return found
    }

    private static func number(
        _ key: String,
        upTo limit: Int,
        in text: [String: String],
        _ path: String
    ) throws(InputError) -> Int {
        guard let value = text[key].flatMap({ Int($0) }), (0...limit).contains(value) else {
            throw damaged(path, "its \(key) is missing or out of range")
        }
        return value
    }

    private func damaged(_ problem: String) -> InputError { Self.damaged(path, problem) }

    private static func damaged(_ path: String, _ problem: String) -> InputError {
        InputError(
            path,
            problem,
            fix: "The state is damaged and cannot be resumed: start over"
        )
    }
}
