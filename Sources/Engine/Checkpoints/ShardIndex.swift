import Foundation

/// A `*.safetensors.index.json`: which shard holds which tensor.
struct ShardIndex: Sendable {
    let path: String
    /// Name of the shard by name of the tensor.
    let map: [String: String]

    /// Maximum number of shards.
    private static let maxShards = 1000

    /// - Throws: `InputError` if the file is not an index, or names files outside its folder
    init(file path: String) throws(InputError) {
        self.path = path
        func fault(_ problem: String) -> InputError {
            InputError(path, problem, fix: "The index is damaged: fetch it again")
        }
        let json = try JSON(try InputFile.bytes(path), place: path)
        guard let members = json.object?["weight_map"]?.object else {
            throw fault("it has no weight_map")
        }
        var map: [String: String] = [:]
        for (tensor, value) in members {
            guard let shard = value.string else {
                throw fault("it gives '\(tensor.prefix(80))' no file")
            }
            guard !shard.contains("/"), !shard.contains("\\"), !shard.contains("\0"),
                shard.hasSuffix(".safetensors"), !shard.hasPrefix(".")
            else {
                throw fault(
                    "'\(shard.prefix(80))' is not the name of a safetensors file beside it"
                )
            }
            map[tensor] = shard
        }
        guard !map.isEmpty else { throw fault("its weight_map is empty") }
        self.map = map
        guard shards.count <= Self.maxShards else {
            throw fault("it names \(shards.count) files")
        }
    }

    /// The shards' names, sorted.
    var shards: [String] { Set(map.values).sorted() }

    /// Opens all shards.
    ///
    /// - Throws: `InputError` if a shard is missing or damaged, lacks a tensor of the index, or holds
    ///   one that the index does not place there
    func table(folder: String) throws(InputError) -> WeightTable {
        var table = WeightTable(place: path)
        for shard in shards {
            let file = "\(folder)/\(shard)"
            guard FileManager.default.fileExists(atPath: file) else {
                throw InputError(
                    file,
                    "this part of the weights is missing; \(path) names it",
                    fix: "Fetch it"
                )
            }
            let tensors = try SafeTensors(file: file)
            if let stray = tensors.names.first(where: { map[$0] != shard }) {
                throw InputError(
                    file,
                    "it holds '\(stray)', which \(path) does not place here",
                    fix: "Fetch the index and all parts of one model"
                )
            }
            for name in tensors.names { table.add(name, in: tensors) }
        }
        if let lost = map.keys.filter({
            table.shape($0) == nil && !SafeTensors.describesStorage($0)
        }).min() {
            throw InputError(
                "\(folder)/\(map[lost] ?? "")",
                "it lacks '\(lost)', which \(path) places there",
                fix: "Fetch the index and all parts of one model"
            )
        }
        return table
    }
}
