import Engine
import Sampling

/// Random numbers read from a file, as `--inputs` gives them: `base_noise`, `phase_noise.S` for
/// each scale S, and `jitter` in drawing order. Draws that the file does not contain are derived from the seed.
package struct RecordedNoise: NoiseSource {
    private let file: SafeTensors
    private let place: String
    private let seeded: SeededNoise
    private var jitter: ArraySlice<Int>

    /// - Throws: `InputError` if the file cannot be read
    package init(file path: String, seeded: SeededNoise) throws {
        place = path
        file = try SafeTensors(file: path)
        self.seeded = seeded
        jitter = file.info("jitter") == nil ? [] : try file.integers("jitter")[...]
    }

    package func base(latent: Extent, channels: Int) throws(InputError) -> Tensor {
        try noise("base_noise", latent, channels)
    }

    package func diffusion(of phase: Phase, channels: Int) throws(InputError) -> Tensor {
        let whole = phase.scale == phase.scale.rounded()
        let scale = whole ? String(Int(phase.scale)) : String(phase.scale)
        return try noise("phase_noise.\(scale)", phase.latent, channels)
    }

    package mutating func windows(
        of grid: WindowGrid,
        phase: Phase,
        step: Int
    ) throws(InputError) -> [Window] {
        var rest = jitter
        let windows = try grid.windows { range throws(InputError) in
            guard let shift = rest.popFirst() else {
                throw InputError(
                    "\(place): jitter",
                    "it ends in phase \(phase.scale), step \(step)",
                    fix: "Give one integer for every draw of the render"
                )
            }
            guard range.contains(shift) else {
                throw InputError(
                    "\(place): jitter",
                    "\(shift) is outside \(range)",
                    fix: "Use the stride and size that the file was recorded with"
                )
            }
            return shift
        }
        jitter = rest
        return windows
    }

    package func stochastic(phase: Phase, step: Int, channels: Int) -> Tensor {
        seeded.stochastic(phase: phase, step: step, channels: channels)
    }

    /// Number of jitter values drawn.
    package var drawn: Int { jitter.startIndex }

    package mutating func skip(to drawn: Int) throws(InputError) {
        guard (jitter.startIndex...jitter.endIndex).contains(drawn) else {
            throw InputError(
                "\(place): jitter",
                "it has \(jitter.endIndex) numbers, and \(drawn) had been used",
                fix: "Resume with the file that the render started with"
            )
        }
        jitter = jitter[drawn...]
    }

    private func noise(
        _ name: String,
        _ latent: Extent,
        _ channels: Int
    ) throws(InputError) -> Tensor {
        let expected = [1, channels, latent.height, latent.width]
        guard let info = file.info(name) else {
            throw InputError("\(place): \(name)", "it is missing", fix: "It must be \(expected)")
        }
        guard info.shape == expected else {
            throw InputError(
                "\(place): \(name)",
                "it is \(info.shape)",
                fix: "This --size and --ladder need \(expected)"
            )
        }
        let tensor = try file.tensor(name)
        guard let place = tensor.values.firstIndex(where: { !(abs($0) <= Self.largest) }) else {
            return tensor.channelsLast()
        }
        throw InputError(
            "\(self.place): \(name)",
            "element \(place) is \(tensor.values[place]), which is not noise",
            fix: "It must be random numbers of mean 0 and variance 1"
        )
    }

    /// Maximum absolute value of a normal draw, with a wide margin for experiments: far above it no network gives
    /// finite answers.
    private static let largest: Float = 1000
}
