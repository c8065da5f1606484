import Engine
import Testing

/// The backend and precision that are chosen by default.
@Suite struct BackendChoiceTests {
    @Test(arguments: [
        (Processor(hasAVX2: true, hasAVX512: true, hasBFloat16: true), "onednn bf16"),
        (Processor(hasAVX2: true, hasAVX512: true, hasBFloat16: false), "onednn f32"),
        (Processor(hasAVX2: true, hasAVX512: false, hasBFloat16: false), "onednn f32"),
        (Processor(hasAVX2: false, hasAVX512: false, hasBFloat16: false), "openblas f32"),
    ])
    func theFastestIsChosen(processor: Processor, expected: String) {
        let options = EngineOptions.best(for: processor, threads: 1).options
        #expect("\(options.backend.rawValue) \(options.precision.rawValue)" == expected)
    }
}
