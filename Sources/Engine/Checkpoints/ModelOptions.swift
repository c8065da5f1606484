import Foundation

/// A refiner and where it takes over, as given with `--refiner PATH[:start]`.
package struct RefinerSource: Equatable, Sendable {
    package let path: String
    /// Fraction of the schedule, from its noisy end, after which the refiner takes over.
    package let start: Double

    /// Stability's own recommendation.
    private static let standardStart = 0.8

    package init(path: String, start: Double) { (self.path, self.start) = (path, start) }

    /// Parses `PATH` or `PATH:start`; a file or folder whose whole name exists takes precedence.
    ///
    /// - Throws: `InputError` unless the start is between 0 and 1
    package init(argument: String) throws(InputError) {
        guard !FileManager.default.fileExists(atPath: argument),
            let colon = argument.lastIndex(of: ":")
        else {
            self.init(path: argument, start: Self.standardStart)
            return
        }
        let text = argument[argument.index(after: colon)...]
        guard let start = Double(text), start > 0, start < 1 else {
            throw InputError(
                "--refiner \(argument)",
                "'\(text)' is not a share of the schedule between 0 and 1",
                fix: "Write PATH or PATH:0.8"
            )
        }
        self.init(path: String(argument[..<colon]), start: start)
    }

    /// The argument that `init(argument:)` parses.
    package var argument: String { "\(path):\(start)" }
}

/// The user's options for a model, apart from its path.
package struct ModelOptions: Sendable, Equatable {
    /// A folder of configurations in the Diffusers layout, for a single file: they override what the file
    /// implies.
    package var config: String?
    /// A folder with vocab.json and merges.txt, or with `tokenizer` and `tokenizer_2`, for a single
    /// file.
    package var tokenizer: String?
    /// The folder of the vocabulary shipped with the program, for single files without one.
    package var vocabulary: String?
    /// The prediction type, overriding the files.
    package var prediction: PredictionType?
    /// LoRA files to merge, in order.
    package var loras: [LoRASource]
    /// Textual inversions for the prompts.
    package var embeddings: [EmbeddingSource]
    /// A file or folder with an autoencoder that replaces the model's own.
    package var vae: String?
    /// A model that provides the parts that the model's file lacks.
    package var base: String?
    /// A refiner for the end of the schedule.
    package var refiner: RefinerSource?

    package init(
        config: String? = nil,
        tokenizer: String? = nil,
        vocabulary: String? = nil,
        prediction: PredictionType? = nil,
        loras: [LoRASource] = [],
        embeddings: [EmbeddingSource] = [],
        vae: String? = nil,
        base: String? = nil,
        refiner: RefinerSource? = nil
    ) {
        (self.vae, self.base, self.refiner) = (vae, base, refiner)
        self.embeddings = embeddings
        self.config = config
        self.tokenizer = tokenizer
        self.vocabulary = vocabulary
        self.prediction = prediction
        self.loras = loras
    }

    /// Parts from other files, as recorded in a picture's metadata: flag and name.
    package var partNames: [(flag: String, name: String)] {
        func name(_ path: String) -> String { URL(fileURLWithPath: path).lastPathComponent }
        var parts: [(String, String)] = []
        if let vae { parts.append(("vae", name(vae))) }
        if let base { parts.append(("base", name(base))) }
        if let refiner { parts.append(("refiner", "\(name(refiner.path)):\(refiner.start)")) }
        return parts
    }

    /// Files that a picture's metadata records only by name: flag and name.
    package var unstoredNames: [(flag: String, name: String)] {
        [("tokenizer", tokenizer), ("model-config", config)].compactMap { flag, path in
            path.map { (flag, URL(fileURLWithPath: $0).lastPathComponent) }
        }
    }
}
