extension Model {
    /// A network on its backend.
    struct Prepared<Network> {
        let network: Network
        let backend: any Backend
        /// Where its weights came from.
        let origin: WeightCache.Origin
    }

    /// Builds a network of a component; all processes of this host share its weights if there are
    /// many of them.
    ///
    /// - Parameters:
    ///   - component: whose weights
    ///   - part: which of them, if not all; one word
    ///   - options: how it is to be computed
    ///   - cache: where prepared weights are kept; nil keeps none
    ///   - wrapping: wraps the backend, for example to measure it
    ///   - make: builds the network, reading weights in a fixed order
    /// - Returns: the network, and where its weights came from
    /// - Throws: `InputError` for unusable files, and for weights that nobody read where `part` is nil
    func prepare<Network>(
        _ component: Component,
        part: String? = nil,
        options: EngineOptions,
        cache: WeightCache?,
        wrapping: (any Backend) -> any Backend,
        make: (ModuleWeights) throws -> Network
    ) throws -> Prepared<Network> {
        func network(_ memory: any WeightMemory) throws -> (Network, any Backend) {
            let backend = wrapping(try options.makeBackend(weights: memory))
            let reader = try weights(component)
            let network = try make(ModuleWeights(reader: reader, backend: backend))
            // With prepared weights, only the norms are read.
            if part == nil, !memory.isFilled { try reader.finish() }
            try backend.check()
            return (network, backend)
        }
        // PyTorch takes weights as they are in the file, to the memory of its device.
        guard let cache, options.backend != .torch, try size(of: component) >= cache.smallest else {
            let (network, backend) = try network(OwnWeights())
            return Prepared(network: network, backend: backend, origin: .own(nil))
        }
        let name = try preparedName(component, part: part, options: options)
        let loaded = try cache.load(name, make: network)
        return Prepared(
            network: loaded.network.0,
            backend: loaded.network.1,
            origin: loaded.origin
        )
    }

    /// Identifies the weights and everything that their prepared form depends on.
    private func preparedName(
        _ component: Component,
        part: String?,
        options: EngineOptions
    ) throws(InputError) -> String {
        let hash = FileHash()
        let (library, instructions) = Processor.oneDNN
        for text in [
            try digest(), library, instructions, "\(Processor.current.hasAVX512)",
            "\(WeightFile.version)",
        ] {
            hash.add(text: text)
        }
        let words = [
            component.rawValue, part, options.backend.rawValue, options.precision.rawValue,
            options.precision == .bf16 && options.multiplication == .widened ? "widened" : nil,
        ]
        return words.compactMap(\.self).joined(separator: "-") + "-\(hash.finish().prefix(32))"
    }

    private func size(of component: Component) throws(InputError) -> Int {
        try files(component).reduce(0) { $0 + FileDigest.size(of: $1) }
    }
}
