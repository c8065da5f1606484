import Engine
import Foundation
import TestSupport
import Testing

/// Names of weight files in folders of the Diffusers layout.
@Suite struct ComponentFilesTests {
    private static let plain = "diffusion_pytorch_model.safetensors"
    private let tensors: [String: RawTensor] = [
        "a.weight": RawTensor(ones: [2, 3]), "b.weight": RawTensor(zeros: [4]),
        "c.weight": RawTensor(ones: [1]),
    ]

    /// Names of unsharded files, and their variants.
    @Test(arguments: [
        ("diffusion_pytorch_model.safetensors", nil), ("model.safetensors", nil),
        ("diffusion_pytorch_model.fp16.safetensors", "fp16"),
        ("model.fp16.safetensors", "fp16"), ("model.non_ema.safetensors", "non_ema"),
    ])
    func oneFile(name: String, variant: String?) throws {
        try inTemporaryFolder { folder in
            try RawTensor.write(tensors, to: "\(folder)/\(name)")
            let files = try ComponentFiles(folder: folder)
            #expect(files.weights == ["\(folder)/\(name)"])
            #expect(files.variant == variant && files.index == nil)
            #expect(try files.table().names == tensors.keys.sorted())
        }
    }

    /// Names of index files, as versions of Diffusers and Transformers write them.
    @Test(arguments: [
        ("diffusion_pytorch_model.safetensors.index.json", nil),
        ("model.safetensors.index.json", nil),
        ("diffusion_pytorch_model.safetensors.index.fp16.json", "fp16"),
        ("diffusion_pytorch_model.fp16.safetensors.index.json", "fp16"),
        ("model.safetensors.fp16.index.json", "fp16"),
    ])
    func shards(name: String, variant: String?) throws {
        try inTemporaryFolder { folder in
            try writeShards(folder, index: name)
            let files = try ComponentFiles(folder: folder)
            #expect(files.variant == variant && files.index == "\(folder)/\(name)")
            #expect(files.weights == ["\(folder)/x-1.safetensors", "\(folder)/x-2.safetensors"])
            let table = try files.table()
            #expect(table.names == tensors.keys.sorted())
            #expect(try table.tensor("a.weight").values == Array(repeating: 1, count: 6))
            #expect(try table.tensor("b.weight").values == [0, 0, 0, 0])
        }
    }

    @Test func thePlainNameGoesFirst() throws {
        try inTemporaryFolder { folder in
            for name in ["diffusion_pytorch_model.fp16.safetensors", "model.ema.safetensors"] {
                try Data("no model".utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
            }
            let two = #expect(throws: InputError.self) { _ = try ComponentFiles(folder: folder) }
            #expect(two?.description.contains("the variants ema, fp16") == true)
            try writeShards(folder, index: "\(Self.plain).index.json")
            #expect(try ComponentFiles(folder: folder).index != nil)
            try RawTensor.write(tensors, to: "\(folder)/\(Self.plain)")
            #expect(try ComponentFiles(folder: folder).weights == ["\(folder)/\(Self.plain)"])
        }
    }

    @Test func saysWhatIsMissing() throws {
        try inTemporaryFolder { folder in
            func message() -> String {
                let error = #expect(throws: InputError.self) {
                    _ = try ComponentFiles(folder: folder).table()
                }
                return error?.description ?? ""
            }
            #expect(message().contains("diffusion_pytorch_model.safetensors"))
            let pickled = "\(folder)/diffusion_pytorch_model.bin"
            try Data("PK".utf8).write(to: URL(fileURLWithPath: pickled))
            #expect(message().contains("Pickled"))
            try writeShards(folder, index: "\(Self.plain).index.json")
            try FileManager.default.removeItem(atPath: "\(folder)/x-2.safetensors")
            #expect(message().contains("x-2.safetensors"))
        }
    }

    /// A faulty index, and what the error must mention.
    @Test(arguments: [
        ("{}", "weight_map"), ("[]", "weight_map"), ("{\"weight_map\": {}}", "empty"),
        ("{\"weight_map\": {\"a.weight\": 1}}", "a.weight"),
        ("{\"weight_map\": {\"a.weight\": \"../x-1.safetensors\"}}", "../x-1"),
        ("{\"weight_map\": {\"a.weight\": \"/x-1.safetensors\"}}", "/x-1"),
        ("{\"weight_map\": {\"a.weight\": \"..\\\\x-1.safetensors\"}}", "x-1"),
        ("{\"weight_map\": {\"a.weight\": \"\"}}", "''"),
        ("{\"weight_map\": {\"a.weight\": \".safetensors\"}}", "'.safetensors'"),
        ("{\"weight_map\": {\"a.weight\": \"x-1.bin\"}}", "x-1.bin"),
        // b.weight is in the other shard, c.weight in none that the index names, d.weight in none.
        ("{\"weight_map\": {\"a.weight\": \"x-1.safetensors\"}}", "b.weight"),
        (
            "{\"weight_map\": {\"a.weight\": \"x-1.safetensors\", \"b.weight\": \"x-2.safetensors\","
                + " \"c.weight\": \"x-2.safetensors\"}}", "b.weight"
        ),
        (
            "{\"weight_map\": {\"a.weight\": \"x-1.safetensors\", \"b.weight\": \"x-1.safetensors\","
                + " \"c.weight\": \"x-2.safetensors\", \"d.weight\": \"x-2.safetensors\"}}",
            "d.weight"
        ),
    ])
    func refusesIndexes(text: String, part: String) throws {
        try inTemporaryFolder { folder in
            try writeShards(folder, index: "model.safetensors.index.json")
            try Data(text.utf8).write(
                to: URL(fileURLWithPath: "\(folder)/model.safetensors.index.json")
            )
            let error = #expect(throws: InputError.self) {
                _ = try ComponentFiles(folder: folder).table()
            }
            #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
        }
    }

    @Test func damagedIndexes() throws {
        try inTemporaryFolder { folder in
            let index = "\(folder)/model.safetensors.index.json"
            try writeShards(folder, index: "model.safetensors.index.json")
            let whole = Array(try Data(contentsOf: URL(fileURLWithPath: index)))
            var (mutator, refused) = (Mutator(seed: 21), 0)
            for _ in 0..<1500 {
                try Data(mutator.mutate(whole)).write(to: URL(fileURLWithPath: index))
                do {
                    let table = try ComponentFiles(folder: folder).table()
                    for name in table.names { _ = try table.tensor(name) }
                } catch is InputError { refused += 1 }
            }
            #expect(refused > 1000)
        }
    }

    /// A whole model with a variant's UNet and a sharded VAE equals the model with plain files.
    @Test func modelsOfVariantsAndShards() throws {
        let plain = "\(SingleFileLayout.ownFixtures)/sd15-tiny"
        try inTemporaryFolder { folder in
            let copy = "\(folder)/model"
            try FileManager.default.copyItem(atPath: plain, toPath: copy)
            try FileManager.default.moveItem(
                atPath: "\(copy)/unet/\(Self.plain)",
                toPath: "\(copy)/unet/diffusion_pytorch_model.fp16.safetensors"
            )
            #expect(try Model(path: copy).digest() == Model(path: plain).digest())
            let all = try RawTensor.read("\(copy)/vae/\(Self.plain)")
            try FileManager.default.removeItem(atPath: "\(copy)/vae/\(Self.plain)")
            let stem = "\(copy)/vae/diffusion_pytorch_model"
            var map: [String: String] = [:]
            for (number, half) in ["decoder", "encoder"].enumerated() {
                let name = "diffusion_pytorch_model-0000\(number + 1)-of-00002.safetensors"
                let part = all.filter { $0.key.hasPrefix("encoder") == (half == "encoder") }
                try RawTensor.write(part, to: "\(copy)/vae/\(name)")
                for key in part.keys { map[key] = name }
            }
            try JSONSerialization.data(withJSONObject: ["weight_map": map])
                .write(to: URL(fileURLWithPath: "\(stem).safetensors.index.json"))
            let (found, expected) = (try Model(path: copy), try Model(path: plain))
            for component in [Component.unet, .vae] {
                let (a, b) = (try found.table(component), try expected.table(component))
                #expect(a.names == b.names)
                for name in a.names { #expect(try a.tensor(name).values == b.tensor(name).values) }
            }
            _ = try UNet(model: found, options: EngineOptions())
            _ = try VAE(model: found, options: EngineOptions(), halves: [.decoder, .encoder])
            #expect(try found.files(.vae).count == 2)
            #expect(try found.digest() != expected.digest())
        }
    }

    private func writeShards(_ folder: String, index: String) throws {
        let (first, second) = ("x-1.safetensors", "x-2.safetensors")
        try RawTensor.write(tensors.filter { $0.key < "c" }, to: "\(folder)/\(first)")
        try RawTensor.write(tensors.filter { $0.key >= "c" }, to: "\(folder)/\(second)")
        let map = tensors.keys.map { "\"\($0)\": \"\($0 < "c" ? first : second)\"" }
        let text =
            "{\"metadata\": {\"total_size\": 0}, \"weight_map\": {\(map.sorted().joined(separator: ", "))}}"
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(index)"))
    }
}
