import Engine
import Sampling

/// A saved render between two steps: one safetensors file, whose metadata records its position
/// and whose digest covers every number.
package struct Checkpoint: Sendable {
    package let state: SamplerState
    /// Numbers drawn so far from a sequential source.
    package let drawn: Int
    /// Latents of finished phases, if they are to be dumped.
    package let finished: [Tensor]

    /// Steps of its phase, for lists of jobs.
    private let steps: Int?

    package init(state: SamplerState, drawn: Int, finished: [Tensor], steps: Int? = nil) {
        self.state = state
        self.steps = steps
        self.drawn = drawn
        self.finished = finished
    }

    private static let format = "1"

    /// Replaces the file atomically: there is always a complete one.
    ///
    /// - Parameters:
    ///   - path: of the file
    ///   - job: the job's id, which the reader must know
    /// - Throws: `OutputError` when the disk is full or broken
    package func write(to path: String, job: String) throws(OutputError) {
        var tensors: [(String, Tensor)] = [("latent", state.latent)]
        for (place, tensor) in state.history.tensors.enumerated() {
            tensors.append((Self.historyName(place), tensor))
        }
        // The noise itself follows from the seed or the file of inputs.
        if let source = state.source { tensors.append(("upsampled", source.upsampled)) }
        if let anchor = state.anchor { tensors.append(("anchor", anchor)) }
        if let picture = state.picture { tensors.append(("picture", picture)) }
        for (phase, latent) in finished.enumerated() { tensors.append(("final.\(phase)", latent)) }
        var text = [
            "format": Self.format, "job": job, "phase": "\(state.phase)", "step": "\(state.step)",
            "drawn": "\(drawn)",
        ]
        if let steps { text["steps"] = "\(steps)" }
        if state.awaitsEnlargement { text["awaits"] = "enlargement" }
        text["digest"] = Self.digest(of: tensors, text)
        try SafeTensors.write(tensors, metadata: text, to: path)
    }

    /// Reads a file and checks everything in it.
    ///
    /// - Parameters:
    ///   - path: of the file
    ///   - plan: of the render
    ///   - job: the expected job's id
    ///   - noise: set to the position of the render
    /// - Throws: `InputError` naming the file and what is wrong with it
    package init(
        file path: String,
        plan: RenderPlan,
        job: String,
        noise: inout some NoiseSource
    ) throws(InputError) {
        func damaged(_ problem: String) -> InputError {
            InputError(
                path,
                problem,
                fix: "The state is damaged and cannot be resumed: start over"
            )
        }
        let file: SafeTensors
        do throws(InputError) {
            file = try SafeTensors(file: path)
        } catch {
            throw error.isSystemLimit ? error : damaged(error.problem)
        }
        let text = file.metadata
        guard text["format"] == Self.format else {
            throw damaged("it is not a state of this version of Tessera")
        }
        guard text["job"] == job else { throw damaged("it belongs to another job") }
        func number(_ key: String, upTo most: Int) throws(InputError) -> Int {
            guard let value = text[key].flatMap({ Int($0) }), (0...most).contains(value) else {
                throw damaged("its \(key) is missing or out of range")
            }
            return value
        }
        let count = plan.phases.count
        let phase = try number("phase", upTo: count)
        let longest = plan.phases.map(\.steps.upperBound).max() ?? 0
        let step = try number("step", upTo: longest)
        drawn = try number("drawn", upTo: .max)
        steps = text["steps"].flatMap { Int($0) }
        func tensor(_ name: String, of phase: Int) throws(InputError) -> Tensor? {
            guard file.info(name) != nil else { return nil }
            let latent = plan.phases[phase].phase.latent
            let expected = [1, latent.height, latent.width, plan.model.latentChannels]
            let found = try file.tensor(name)
            guard found.shape == expected else {
                throw damaged("its \(name) is \(found.shape), not \(expected)")
            }
            return found
        }
        let last = min(phase, count - 1)
        let awaitsEnlargement = text["awaits"] == "enlargement"
        guard !awaitsEnlargement || (step == 0 && plan.enlargements[phase] != nil) else {
            throw damaged("its phase has nothing to enlarge")
        }
        guard let latent = try tensor("latent", of: awaitsEnlargement ? last - 1 : last) else {
            throw damaged("its latent is missing")
        }
        var state = SamplerState(latent: latent)
        (state.phase, state.step, state.awaitsEnlargement) = (phase, step, awaitsEnlargement)
        var tensors = [("latent", latent)]
        var history: [Tensor] = []
        while let next = try tensor(Self.historyName(history.count), of: last) {
            tensors.append((Self.historyName(history.count), next))
            history.append(next)
        }
        state.history = Scheduler.History(history)
        let upsampled = try tensor("upsampled", of: last)
        if let upsampled { tensors.append(("upsampled", upsampled)) }
        state.anchor = try tensor("anchor", of: 0)
        if let anchor = state.anchor { tensors.append(("anchor", anchor)) }
        state.picture = try tensor("picture", of: last)
        if let picture = state.picture { tensors.append(("picture", picture)) }
        var finished: [Tensor] = []
        while finished.count < phase,
            let next = try tensor(
                "final.\(finished.count)",
                of: finished.count
            )
        {
            tensors.append(("final.\(finished.count)", next))
            finished.append(next)
        }
        self.finished = finished
        guard Self.digest(of: tensors, text) == text["digest"] else {
            throw damaged("its numbers do not agree with its digest")
        }
        let isSourced = phase > 0 || plan.settings.picture != nil
        guard (state.anchor != nil) == isSourced,
            phase == count || plan.phases[phase].steps.contains(step),
            (upsampled != nil)
                == (isSourced && plan.phases[last].refinement == nil
                    && (plan.settings.picture != nil || !plan.phases[last].isWhole)),
            (state.picture != nil) == (plan.phases[last].hold != nil)
        else { throw damaged("a part of it is missing") }
        try noise.skip(to: drawn)
        if let upsampled {
            let (latent, channels) = (plan.phases[last].phase, plan.model.latentChannels)
            let drawn =
                last == 0
                ? try noise.base(latent: latent.latent, channels: channels)
                : try noise.diffusion(of: latent, channels: channels)
            state.source = (upsampled, drawn)
        }
        self.state = state
    }

    /// The tensor of what the scheduler remembers.
    private static func historyName(_ place: Int) -> String {
        place == 0 ? "estimate" : "estimate.\(place)"
    }

    private static func digest(of tensors: [(String, Tensor)], _ text: [String: String]) -> String {
        let hash = FileHash()
        for (key, value) in text.sorted(by: { $0.key < $1.key }) where key != "digest" {
            hash.add(text: key)
            hash.add(text: value)
        }
        for (name, tensor) in tensors {
            hash.add(text: "\(name) \(tensor.shape)")
            tensor.withFloats { hash.add(bytes: UnsafeRawBufferPointer($0)) }
        }
        return hash.finish()
    }
}
