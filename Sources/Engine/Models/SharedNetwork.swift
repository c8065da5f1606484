extension Model {
    /// A network with its backend.
    struct Prepared<Network> {
        let network: Network
        let backend: any Backend
        /// Where its weights came from.
        let origin: WeightCache.Origin
    }

    /// Builds a component's network; if its weights are large, all processes of this host share them.
    ///
    /// - Parameters:
    ///   - component: the component whose weights to read
    ///   - part: which part of its weights, in one word; nil for all of them
    ///   - options: how the network is computed
    ///   - cache: where prepared weights are kept; nil for no cache
    ///   - wrapping: wraps the backend, for example to measure it
    ///   - make: builds the network, reading weights in a fixed order
    /// - Returns: the network, and where its weights came from
    /// - Throws: `InputError` for unusable files and, if `part` is nil, for weights that were not read
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
            // If the weights are already prepared, only the norms are read.
            if part == nil, !memory.isFilled { try reader.finish() }
            try backend.check()
            return (network, backend)
        }
        // PyTorch copies weights straight from the file to its device's memory.
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
