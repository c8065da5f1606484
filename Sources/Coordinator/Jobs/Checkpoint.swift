import Engine
import Sampling

/// A saved render between two steps: one safetensors file, whose metadata records its position
/// and whose digest covers every number. `CheckpointReader` reads it.
package struct Checkpoint: Sendable {
    package let state: SamplerState
    /// Random numbers drawn so far from a sequential noise source.
    package let drawn: Int
    /// Latents of finished phases, if they are to be dumped.
    package let finished: [Tensor]

    /// Number of steps of its phase, for job lists.
    private let steps: Int?
    /// Number of phases, for job lists: after the last one only decoding remains.
    private let phases: Int?

    package init(
        state: SamplerState,
        drawn: Int,
        finished: [Tensor],
        steps: Int? = nil,
        phases: Int? = nil
    ) {
        self.state = state
        (self.steps, self.phases) = (steps, phases)
        self.drawn = drawn
        self.finished = finished
    }

    static let format = "1"

    /// Job id in states that a running render keeps to go back to.
    static let keptJob = "kept"

    /// Size of its tensors in bytes, including those that it shares with other states.
    var bytes: Int {
        let source = state.source.map { [$0.upsampled, $0.noise] } ?? []
        let optional = [state.anchor, state.picture, state.mask, state.means?.values].compactMap(
            \.self
        )
        return ([state.latent] + state.history.tensors + source + optional + finished)
            .reduce(0) { $0 + $1.count * MemoryLayout<Float>.size }
    }

    /// Replaces the file atomically, so that a complete one always exists.
    ///
    /// - Parameters:
    ///   - path: the file's path
    ///   - job: the job's id, which the reader must know
    /// - Throws: `OutputError` if the disk is full or broken
    package func write(to path: String, job: String) throws(OutputError) {
        var tensors: [(String, Tensor)] = [("latent", state.latent)]
        for (place, tensor) in state.history.tensors.enumerated() {
            tensors.append((Self.historyName(place), tensor))
        }
        // The noise itself is derived again from the seed or from the inputs file.
        if let source = state.source { tensors.append(("upsampled", source.upsampled)) }
        if let anchor = state.anchor { tensors.append(("anchor", anchor)) }
        if let picture = state.picture { tensors.append(("picture", picture)) }
        if let mask = state.mask { tensors.append(("mask", mask)) }
        if let means = state.means { tensors.append(("means", means.values)) }
        for (phase, latent) in finished.enumerated() { tensors.append(("final.\(phase)", latent)) }
        var text = [
            "format": Self.format, "job": job, "phase": "\(state.phase)", "step": "\(state.step)",
            "drawn": "\(drawn)",
        ]
        if let steps { text["steps"] = "\(steps)" }
        if let phases { text["phases"] = "\(phases)" }
        if state.awaitsEnlargement { text["awaits"] = "enlargement" }
        text["digest"] = Self.digest(of: tensors, text)
        try SafeTensors.write(tensors, metadata: text, to: path)
    }

    /// Name of a tensor of the scheduler's history.
    static func historyName(_ place: Int) -> String {
        place == 0 ? "estimate" : "estimate.\(place)"
    }

    /// Covers the names, shapes and values of the tensors, and all metadata except the digest itself.
    static func digest(of tensors: [(String, Tensor)], _ text: [String: String]) -> String {
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
