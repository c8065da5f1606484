// The share of bytes that packing leaves of a render's tensors, in half precision (`--wire f16`). Prints a table, then
// one JSON object.
//     Packing MODEL PRECISION [TORCH]      TORCH: PyTorch's folder, to compute with PyTorch

import Coordinator
import DirectRendering
import Engine
import Foundation
import Protocol
import Sampling
import Synchronization

/// Bytes of tensors, unpacked and packed.
struct Tally {
    private var plain = 0
    private var packed = 0
    private(set) var count = 0

    var share: Double { Double(packed) / Double(max(1, plain)) }

    mutating func add(_ tensor: Tensor) {
        let bytes = tensor.halves
        plain += bytes.count
        packed += (PackedTensor.pack(bytes, size: WireFormat.f16.size) ?? bytes).count
        count += 1
    }
}

/// Evaluates views in this process, and packs what would be sent.
final class PackingRenderer: UnitByUnit {
    private let renderer: LocalRenderer
    private let tallies = Mutex((latents: Tally(), predictions: Tally()))

    var latents: Tally { tallies.withLock(\.latents) }
    var predictions: Tally { tallies.withLock(\.predictions) }

    init(_ renderer: LocalRenderer) { self.renderer = renderer }

    func result(of unit: WorkUnit, at place: Int) throws -> WorkResult {
        var none: EarlyViews?
        let result = try renderer.evaluate([unit], early: &none) { _ in }[0]
        if case .autoencode = unit.work { return result }
        tallies.withLock { tallies in
            tallies.latents.add(unit.input)
            if let tensor = result.tensor { tallies.predictions.add(tensor) }
        }
        return result
    }
}

/// Renders 768 × 768 pixels.
func measure(_ method: Method, model: String, engine: EngineOptions) throws -> PackingRenderer {
    var settings = SettingChoices()
    settings.set(Settings.method, to: method)
    settings.set(Settings.size, to: Extent(height: 768, width: 768))
    settings.set(Settings.steps, to: 12)
    settings.set(Settings.globalPass, to: .workers)
    settings.set(Settings.wire, to: .f16)
    let session = try RenderSession(
        PictureOptions(prompt: "a lake at sunset", model: model, settings: settings)
    )
    let networks = LoadedNetworks(session.model, identity: .none, options: engine)
    let renderer = PackingRenderer(LocalRenderer(Evaluator(networks), wire: .f16))
    let path = NSTemporaryDirectory() + "packing-\(getpid()).png"
    defer { try? FileManager.default.removeItem(atPath: path) }
    _ = try session.render(
        on: renderer,
        prompts: try session.encodedPrompts(engine),
        digest: "-",
        outputs: .init(picture: path)
    ) { _ in }
    return renderer
}

let arguments = CommandLine.arguments
guard (3...4).contains(arguments.count), let precision = Precision(rawValue: arguments[2]) else {
    print("Packing MODEL PRECISION [TORCH]")
    exit(64)
}
let (engine, _) = EngineOptions.best(
    for: Processor.current,
    backend: arguments.count > 3 ? .torch : nil,
    precision: precision,
    torch: arguments.count > 3 ? arguments[3] : nil,
    threads: 2
)
do {
    print(
        "768×768 pixels, 12 steps, \(engine.backend) in \(precision), half precision on the wire; "
            + "packed of plain bytes:"
    )
    print("  method      views  latents  predictions")
    var figures: [String] = []
    for method in Method.allCases {
        let found = try measure(method, model: arguments[1], engine: engine)
        let name = method.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
        let (latents, predictions) = (found.latents.share, found.predictions.share)
        print(
            "  \(name) "
                + String(format: "%6d  %7.3f  %11.3f", found.latents.count, latents, predictions)
        )
        figures.append(String(format: "\"packed_latents_\(method.rawValue)\": %.3f", latents))
        figures.append(
            String(format: "\"packed_predictions_\(method.rawValue)\": %.3f", predictions)
        )
    }
    print("{\(figures.joined(separator: ", "))}")
} catch {
    FileHandle.standardError.write(Data("Packing: \(error)\n".utf8))
    exit(1)
}
