import ArgumentParser
import Engine
import Foundation

/// One network of a model, evaluated on request, for `Benchmarks/compare.py`.
@main
struct Evaluations: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Evaluates once for every line on standard input.",
        discussion: """
            Prints the seconds that it took and the most memory held so far, in bytes; the first line is \
            about loading.
            """
    )

    /// The network, or part of it, to evaluate.
    enum Part: String, ExpressibleByArgument {
        case unet, decoder
        /// A large matrix product: the processor's peak throughput.
        case product
    }

    @Argument(help: "The model; read for a network only.") var model: String
    @Argument(help: "unet, decoder or product.") var part: Part
    @Argument(help: "openblas, onednn or torch.") var backend: BackendKind
    @Argument(help: "f32 or bf16.") var precision: Precision
    @Argument(help: "Threads that share an evaluation.") var threads: Int
    @Argument(help: "What to evaluate (safetensors).") var inputs: String
    @Argument(help: "Where the last result goes (safetensors).") var output: String
    @Option(help: "The device of the torch backend.") var device = "cpu"
    @Option(help: "Where PyTorch is.") var torch: String?
    @Flag(help: "Say on standard error how long each kind of operation took.") var profile = false

    mutating func validate() throws {
        guard (1...1024).contains(threads) else {
            throw ValidationError("threads must be from 1 to 1024.")
        }
    }

    func run() throws {
        var timed: TimedBackend?
        let start = ContinuousClock.now
        let evaluate = try evaluation { backend in
            guard profile else { return backend }
            let measured = TimedBackend(backend)
            timed = measured
            return measured
        }
        report(since: start)
        while readLine() != nil {
            let start = ContinuousClock.now
            let result = try evaluate()
            report(since: start)
            for line in timed?.table() ?? [] {
                FileHandle.standardError.write(Data("\(line)\n".utf8))
            }
            try SafeTensors.write([("output", result)], to: output)
        }
    }

    /// Loads what is to be measured.
    private func evaluation(
        wrapping: (any Backend) -> any Backend
    ) throws -> () throws -> Tensor {
        let options = EngineOptions(
            backend: backend,
            precision: precision,
            threads: threads,
            device: DeviceName(rawValue: device) ?? .processor,
            torch: torch
        )
        switch part {
        case .product:
            let (rows, width) = (4096, 4096)
            let backend = try options.makeBackend()
            let matrix = Tensor(shape: [width, width]) { $0.update(repeating: 0.01) }
            let weights = try backend.prepareLinear(inputs: width, outputs: width, hasBias: false) {
                Parameters(matrix)
            }
            let x = backend.upload(Tensor(shape: [1, rows, width]) { $0.update(repeating: 1) })
            let one = Tensor([0], shape: [1])
            return {
                _ = backend.linear(x, weights, then: .identity, with: nil)
                return one
            }
        case .unet:
            let file = try SafeTensors(file: inputs)
            let unet = try UNet(
                model: try Model(path: model),
                options: options,
                wrapping: wrapping
            )
            let latents = try file.tensor("latents").channelsLast()
            let context = try file.tensor("context")
            let timestep = try file.tensor("timestep").values[0]
            let pooled = file.info("pooled") == nil ? nil : try file.tensor("pooled")
            let ids = file.info("time_ids") == nil ? nil : try file.tensor("time_ids")
            let timeIDs = ids.map { ids in
                (0..<ids.shape[0]).map { row in Array(ids.values[row * 6..<row * 6 + 6]) }
            }
            return {
                try unet.predict(
                    latents,
                    timestep: timestep,
                    context: context,
                    pooled: pooled,
                    timeIDs: timeIDs
                ).channelsFirst()
            }
        case .decoder:
            let file = try SafeTensors(file: inputs)
            let vae = try VAE(
                model: try Model(path: model),
                options: options,
                halves: [.decoder],
                wrapping: wrapping
            )
            let latent = try file.tensor("latents").channelsLast()
            return { try vae.decode(latent).channelsFirst() }
        }
    }

    private func report(since start: ContinuousClock.Instant) {
        print((ContinuousClock.now - start) / .seconds(1), maxMemory)
        fflush(nil)
    }

    /// Peak memory of this process in bytes.
    private var maxMemory: Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        let kilobytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first
        return (kilobytes.flatMap { Int($0) } ?? 0) * 1024
    }
}

extension BackendKind: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
