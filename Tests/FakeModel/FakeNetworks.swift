import Engine
import Foundation
import Synchronization

/// A model whose predictions are simple sums of everything that goes in, and which can misbehave.
package final class FakeNetworks: ModelNetworks {
    /// What it does with a unit.
    package enum Behaviour: Equatable, Sendable {
        case good
        /// Takes this many milliseconds.
        case slow(Int)
        case nan
        /// Answers with this number everywhere.
        case constant(Float)
        case wrongShape
        case throwing
        /// Ends the process by SIGKILL in the middle of this unit, counted from 1.
        case dying(at: Int)
        /// Never ends.
        case hanging
        /// Keeps no tiles.
        case forgetful

        /// Reads "good", "slow:50", "nan", "fill:1e38", "shape", "throw", "die:3", "hang" or "forget".
        package init?(_ text: String) {
            let parts = text.split(separator: ":")
            if parts.count == 2, parts[0] == "fill", let value = Float(parts[1]) {
                self = .constant(value)
                return
            }
            let number = parts.count > 1 ? Int(parts[1]) : nil
            switch (parts.first, number) {
            case ("good", nil): self = .good
            case ("slow", let milliseconds?): self = .slow(milliseconds)
            case ("nan", nil): self = .nan
            case ("shape", nil): self = .wrongShape
            case ("throw", nil): self = .throwing
            case ("die", let unit?): self = .dying(at: unit)
            case ("hang", nil): self = .hanging
            case ("forget", nil): self = .forgetful
            default: return nil
            }
        }
    }

    package static let digest = String(repeating: "ab", count: 32)
    package static let vaeFactor = 8

    package let identity: ModelIdentity
    package let backend = "fake"
    package let precision = "f32"
    package let threads: Int
    private let behaviour: Behaviour
    private let units = Atomic<Int>(0)
    private let rows = Atomic<Int>(0)
    private let misses = Atomic<Int>(0)
    private let tiles = Mutex<[TileID: Tensor]>([:])
    private let watcher = Mutex<(@Sendable (Float) -> Void)?>(nil)

    package init(_ behaviour: Behaviour = .good, digest: String = digest, threads: Int = 1) {
        identity = ModelIdentity(digest: digest, path: "/models/fake")
        self.behaviour = behaviour
        self.threads = threads
    }

    /// Units begun so far.
    package var unitCount: Int { units.load(ordering: .relaxed) }
    /// Tiles that it was asked for without their inputs, and did not keep.
    package var missCount: Int { misses.load(ordering: .relaxed) }
    /// Rows of all batches so far: UNet evaluations.
    package var rowCount: Int { rows.load(ordering: .relaxed) }

    /// Calls back with the timestep of each prediction that is begun.
    package func watch(_ body: @escaping @Sendable (_ timestep: Float) -> Void) {
        watcher.withLock { $0 = body }
    }

    package func evaluation(
        of input: DenoiserInput,
        cancellation: Cancellation
    ) -> any DenoiserEvaluation {
        WholeEvaluation { try self.predict(input, cancellation) }
    }

    private func predict(_ input: DenoiserInput, _ cancellation: Cancellation) throws -> Tensor {
        let (latents, n) = (input.latents, input.latents.shape[0])
        rows.add(n, ordering: .relaxed)
        watcher.withLock(\.self)?(input.timestep)
        let added = (0..<n).map { row in
            mean(input.context, row, of: n) + (input.pooled.map { mean($0, row, of: n) } ?? 0)
                + (input.timeIDs?[row].reduce(0, +) ?? 0) / 1024 + input.timestep / 1000
        }
        let length = latents.count / n
        let values = latents.values.enumerated().map { i, x in x / 2 + added[i / length] }
        return try misbehave(Tensor(values, shape: latents.shape), cancellation)
    }

    /// Decodes by repeating every pixel of the first three channels 8 × 8 times; encodes by taking the first
    /// of so many, and a fourth channel of ones.
    private func whole(_ half: AutoencoderHalf, _ input: Tensor) -> Tensor {
        let (h, w, c) = (input.shape[1], input.shape[2], input.shape[3])
        let factor = Self.vaeFactor
        switch half {
        case .decoder:
            return Tensor(shape: [1, h * factor, w * factor, 3]) { out in
                input.withFloats { x in
                    for i in out.indices {
                        let (pixel, channel) = (i / 3, i % 3)
                        let (row, column) = (pixel / (w * factor), pixel % (w * factor))
                        out[i] = x[((row / factor) * w + column / factor) * c + channel]
                    }
                }
            }
        case .encoder:
            return Tensor(shape: [1, h / factor, w / factor, 4]) { out in
                input.withFloats { x in
                    for i in out.indices {
                        let (pixel, channel) = (i / 4, i % 4)
                        let (row, column) = (pixel / (w / factor), pixel % (w / factor))
                        let from = (row * factor * w + column * factor) * c + channel
                        out[i] = channel < 3 ? x[from] : 1
                    }
                }
            }
        }
    }

    /// Its tiles are their inputs.
    private func keep(_ input: Tensor, _ tile: TileID?) throws -> Tensor {
        try tiles.withLock { tiles in
            if input.isOmitted {
                guard behaviour != .forgetful, let tile, let kept = tiles[tile] else {
                    misses.add(1, ordering: .relaxed)
                    throw TileNotKept()
                }
                return kept
            }
            if let tile { tiles[tile] = input }
            return input
        }
    }

    /// In every group, a norm's mean and variance are those of the tile's latent plus the norm's number and the means that
    /// the norms before used; to the result the sum of all statistics and of the keys is added.
    package func evaluate(
        _ half: AutoencoderHalf,
        _ input: Tensor,
        as part: PicturePart?,
        attending tokens: [Tensor],
        cancellation: Cancellation
    ) throws -> WorkResult {
        guard let part else {
            return WorkResult(tensor: try misbehave(whole(half, input), cancellation))
        }
        let input = try keep(input, part.tile)
        let groups = Self.network.groups
        let latent = half == .encoder ? whole(.encoder, input) : input
        let core = part.margins.core(height: latent.shape[1], width: latent.shape[2])
        let tile = latent.cropped(
            top: core.rows.lowerBound,
            left: core.columns.lowerBound,
            height: core.rows.count,
            width: core.columns.count
        )
        let added = tokens.reduce(Float(0)) { $0 + mean($1, 0, of: 1) }
        guard part.norm > 0 else {
            let sum = part.statistics.reduce(0) { $0 + $1.mean + $1.variance }
            let result = try misbehave(
                half == .decoder ? whole(.decoder, tile) : tile,
                cancellation
            )
            return WorkResult(tensor: result.map { $0 + Float(sum) + added })
        }
        let own = tile.values.reduce(0) { $0 + Double($1) } / Double(tile.count)
        let square = tile.values.reduce(0) { $0 + Double($1) * Double($1) } / Double(tile.count)
        let before = part.statistics.reduce(0) { $0 + $1.mean }
        let seen = Moments(
            mean: own + Double(part.norm - 1) + before / 4 + Double(added),
            variance: max(0, square - own * own) + 1
        )
        let answered = part.tokens.map { lattice in
            let places = lattice.places(height: core.rows.count, width: core.columns.count)
            return Tensor(shape: [1, places.rows.count, places.columns.count, Self.network.width]) {
                var at = 0
                for row in places.rows {
                    for column in places.columns {
                        for channel in 0..<Self.network.width {
                            let pixel = row * core.columns.count + column
                            $0[at] = tile.values[pixel * latent.shape[3] + channel]
                            at += 1
                        }
                    }
                }
            }
        }
        _ = try misbehave(tile, cancellation)
        return WorkResult(tensor: answered, statistics: Array(repeating: seen, count: groups))
    }

    /// The description of its decoder for coordinators.
    package static let network = network(.decoder)

    /// The description of a half for coordinators.
    package static func network(_ half: AutoencoderHalf) -> TiledNetwork {
        TiledNetwork(
            half: half,
            norms: 4,
            groups: 2,
            attention: 1,
            width: 2,
            halo: 3
        )
    }

    private func mean(_ tensor: Tensor, _ row: Int, of n: Int) -> Float {
        let length = tensor.count / n
        let values = tensor.values[(row * length)..<((row + 1) * length)]
        return values.reduce(0, +) / Float(length)
    }

    private func misbehave(_ good: Tensor, _ cancellation: Cancellation) throws -> Tensor {
        let unit = units.add(1, ordering: .relaxed).newValue
        switch behaviour {
        case .good, .forgetful:
            return good
        case .slow(let milliseconds):
            // Checks for cancellation every few milliseconds, as networks do between their blocks.
            let end = ContinuousClock.now + .milliseconds(milliseconds)
            while ContinuousClock.now < end {
                try cancellation.check()
                let rest = ContinuousClock.now.duration(to: end) / .seconds(1)
                Thread.sleep(forTimeInterval: max(0, min(rest, 0.005)))
            }
            return good
        case .nan:
            return good.map { _ in .nan }
        case .constant(let value):
            return good.map { _ in value }
        case .wrongShape:
            return Tensor(zeros: good.shape.map { $0 + 1 })
        case .throwing:
            throw InputError("/models/fake/unet", "it is made to fail", fix: "Use another one")
        case .dying(let last):
            if unit == last { kill(getpid(), SIGKILL) }
            return good
        case .hanging:
            while true { Thread.sleep(forTimeInterval: 3600) }
        }
    }
}
