// What `make bench` measures of very large pictures. Prints one JSON object.
//     Pictures memory SIDE OUTPUT [PICTURE]
//                                     the coordinator's memory for a render, workers left out
//     Pictures difference MODEL SIDE BACKEND PRECISION [TILE [MEGABYTES [ROUNDS]]]
//                                     how far tiles are from one decode of the whole, in levels of 255, and
//                                     how much longer they take; of tiles between two passes so many
//                                     megabytes are kept in memory, and the rest on disk
//     Pictures encoding MODEL SIDE BACKEND PRECISION [TILE [MEGABYTES [ROUNDS]]]
//                                     the same of one encode, in deviations of the latent

import Coordinator
import DirectRendering
import Engine
import Foundation
import Protocol
import Sampling

let arguments = CommandLine.arguments

/// The most memory that this process ever had, in gigabytes.
func peak() throws -> Double {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first
    return (kilobytes.flatMap { Double($0) } ?? 0) * 1024 / 1e9
}

/// Answers of the right shapes at no cost: what is left is the coordinator.
struct ShapesOnly: UnitRenderer {
    let model: ModelGeometry

    func evaluate(_ units: [WorkUnit], onDone: (Int) throws -> Void) throws -> [WorkResult] {
        try units.enumerated().map { place, unit in
            try onDone(place)
            guard case .autoencode(let half, let part) = unit.work else {
                return WorkResult(tensor: unit.input.map { $0 * 0.1 })
            }
            let (shape, network) = (unit.input.shape, model.network(half))
            let factor = half == .encoder ? 8 : 1
            let core = (part?.margins ?? .none)
                .core(height: shape[1] / factor, width: shape[2] / factor)
            guard let part, part.norms > 0 else {
                return WorkResult(
                    tensor: half == .decoder
                        ? picture(of: unit.input, core)
                        : Tensor(zeros: [1, core.rows.count, core.columns.count, 4])
                )
            }
            let tokens = part.tokens.map { lattice in
                let places = lattice.places(height: core.rows.count, width: core.columns.count)
                return Tensor(zeros: [1, places.rows.count, places.columns.count, network.width])
            }
            let moments = Moments(mean: 0, variance: 1)
            return WorkResult(
                tensor: tokens,
                statistics: Array(repeating: moments, count: network.groups)
            )
        }
    }

    /// The latent's first channels, each pixel 8 × 8 times.
    private func picture(of latent: Tensor, _ core: Region) -> Tensor {
        let (width, channels) = (latent.shape[2], latent.shape[3])
        return Tensor(shape: [1, 8 * core.rows.count, 8 * core.columns.count, 3]) { out in
            latent.withFloats { x in
                var at = 0
                for row in 0..<8 * core.rows.count {
                    let line = (core.rows.lowerBound + row / 8) * width
                    for column in 0..<8 * core.columns.count {
                        let pixel = line + core.columns.lowerBound + column / 8
                        for channel in 0..<3 {
                            out[at] = x[pixel * channels + channel]
                            at += 1
                        }
                    }
                }
            }
        }
    }
}

func memory(side: Int, output: String, start: String?) throws {
    let session = try RenderSession(
        PictureOptions(
            prompt: "-",
            model: "Models/vista",
            size: Extent(height: side, width: side),
            steps: 2,
            random: .philox,
            ladder: .given(try Ladder(scales: [1, Double(side / 256)])),
            picture: start.map { PictureChoice(path: $0) },
            globalPass: .workers
        )
    )
    let prompt = Embedding(context: Tensor(zeros: [1, 1, 1]))
    try session.render(
        on: ShapesOnly(model: session.plan.model),
        prompts: Prompts(positive: prompt, negative: prompt),
        digest: "-",
        outputs: .init(picture: output)
    ) { event in
        if case .decoding = event {
            FileHandle.standardError.write(Data("decoding at \(try peak()) GB\n".utf8))
        }
    }
    print("{\"render_\(side)_coordinator_gb\": \(String(format: "%.2f", try peak()))}")
}

/// Large forms and small ones.
func forms(_ side: Int, channels: Int, deviation: Float) -> Tensor {
    let large = TorchRandom.normal(seed: 4, count: 64 * channels)
    let noise = TorchRandom.normal(seed: 3, count: side * side * channels)
    return Tensor(shape: [1, side, side, channels]) { out in
        for i in out.indices {
            let (row, column) = (i / channels / side, i / channels % side)
            let form = (row * 8 / side * 8 + column * 8 / side) * channels + i % channels
            out[i] = deviation * (noise[i] + large[form])
        }
    }
}

/// Processor time of this process, in seconds.
func processorTime() -> Double {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

/// What an evaluation took.
struct Took {
    var seconds = 0.0
    var processor = 0.0

    init(_ body: () throws -> Void) rethrows {
        let (start, before) = (ContinuousClock.now, processorTime())
        try body()
        (seconds, processor) = (start.duration(to: .now) / .seconds(1), processorTime() - before)
    }
}

/// How far tiles are from one evaluation of the whole, and what they cost: in turns, since the machine may
/// have other work, and the ratio that is the median.
func compare(
    _ half: AutoencoderHalf,
    model: String,
    side: Int,
    options: EngineOptions,
    tile: Int,
    tileBytes: Int,
    rounds: Int
) throws {
    let vae = try VAE(
        model: Model(path: model),
        options: options,
        halves: [half],
        tileBytes: tileBytes
    )
    let config = vae.config
    let plan = TilePlan(
        latent: Extent(height: side, width: side),
        factor: config.factor,
        network: config.network(half),
        wholeArea: 0,
        side: tile
    )
    let (input, source): (Tensor, any TileSource)
    switch half {
    case .decoder:
        input = forms(side, channels: config.latentChannels, deviation: 0.7 / config.scalingFactor)
        source = input
    case .encoder:
        let picture = forms(side * config.factor, channels: 3, deviation: 0.3)
        input = picture
        source = PictureTiles(latent: plan.latent, factor: plan.factor) { picture.cut($0) }
    }
    var (wholes, tiled): ([Took], [Took]) = ([], [])
    var (largest, mean, passes) = (0.0, 0.0, 0)
    for round in 0..<rounds {
        var whole = Tensor(zeros: [1])
        let one = try Took {
            whole = half == .decoder ? try vae.decode(input) : try vae.latent(of: input)
        }
        var rows: [Tensor] = []
        passes = 0
        let many = try Took {
            let tiles = try TiledEvaluation(source, plan: plan, on: DirectRenderer(vae)) {
                if case .measuring = $0 { passes += 1 }
            }
            try tiles.finish { rows.append($0) }
        }
        // The first of each touches its memory for the first time.
        guard round > 0 else { continue }
        wholes.append(one)
        tiled.append(many)
        let unit = half == .decoder ? 127.5 : 1 / Double(whole.meanAndDeviation().deviation)
        let found = Tensor(rows.flatMap(\.values), shape: whole.shape)
        let differences = found.zip(whole) { abs($0 - $1) }.values
        largest = unit * Double(differences.max() ?? 0)
        mean = unit * differences.reduce(0) { $0 + Double($1) } / Double(differences.count)
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    let ratios = zip(tiled, wholes).map { $0.seconds / $1.seconds }
    let processor = zip(tiled, wholes).map { $0.processor / $1.processor }
    let (name, unit) =
        half == .decoder ? ("decode", "levels") : ("encode", "deviations")
    let fields: [(String, Double)] = [
        ("max_difference_\(unit)", largest), ("mean_difference_\(unit)", mean),
        ("passes", Double(passes)), ("tiled_overhead", median(ratios)),
        ("tiled_processor_overhead", median(processor)),
        ("tiled_overhead_expected", plan.evaluations),
        ("whole_seconds", median(wholes.map(\.seconds))),
        ("tiles_seconds", median(tiled.map(\.seconds))), ("peak_gb", try peak()),
    ]
    let texts = fields.map { "\"\(name)_\($0)\": \(String(format: "%.5g", $1))" }
    print("{\(texts.joined(separator: ", "))}")
}

switch (arguments.dropFirst().first, arguments.count) {
case ("memory", 4...5):
    try memory(
        side: Int(arguments[2]) ?? 16384,
        output: arguments[3],
        start: arguments.count > 4 ? arguments[4] : nil
    )
case (let way?, 6...9) where ["difference", "encoding"].contains(way):
    try compare(
        way == "encoding" ? .encoder : .decoder,
        model: arguments[2],
        side: Int(arguments[3]) ?? 64,
        options: EngineOptions(
            backend: BackendKind(rawValue: arguments[4]) ?? .onednn,
            precision: Precision(rawValue: arguments[5]) ?? .f32,
            threads: 2
        ),
        tile: arguments.count > 6 ? Int(arguments[6]) ?? TilePlan.side : TilePlan.side,
        tileBytes: arguments.count > 7 ? (Int(arguments[7]) ?? 0) << 20 : TileStates.bytes,
        rounds: arguments.count > 8 ? max(2, Int(arguments[8]) ?? 2) : 4
    )
default:
    print(
        "Pictures memory SIDE OUTPUT [PICTURE] | Pictures difference|encoding MODEL SIDE BACKEND "
            + "PRECISION [TILE [MEGABYTES [ROUNDS]]]"
    )
    exit(64)
}
