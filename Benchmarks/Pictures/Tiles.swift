import DirectRendering
import Engine
import Foundation
import Sampling

/// Random numbers with large-scale structure and noise.
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

/// The time of an evaluation: wall-clock and processor seconds.
struct Took {
    var seconds = 0.0
    var processor = 0.0

    init(_ body: () throws -> Void) rethrows {
        let (start, before) = (ContinuousClock.now, processorTime())
        try body()
        (seconds, processor) = (start.duration(to: .now) / .seconds(1), processorTime() - before)
    }
}

/// Compares tiles with one evaluation of the whole: differences and time. The two alternate, because other work may
/// share the machine; ratios are medians.
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
        // The first evaluations map memory and weights.
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
