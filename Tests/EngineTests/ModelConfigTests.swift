import Engine
import Foundation
import TestSupport
import Testing

/// Configurations of the networks: the published ones load, and whatever is not understood is
/// refused by name.
@Suite struct ModelConfigTests {
    @Test func publishedUNetsLoad() throws {
        let old = try read(PublishedConfig.sd15UNet) { try UNetConfig(file: $0) }
        #expect(old.sampleSize == 64 && old.crossAttentionDim == 768 && !old.needsTimeIDs)
        let second = try read(PublishedConfig.sd21UNet) { try UNetConfig(file: $0) }
        #expect(second.sampleSize == 96 && second.crossAttentionDim == 1024)
        let large = try read(PublishedConfig.sdxlUNet) { try UNetConfig(file: $0) }
        #expect(large.needsTimeIDs && large.pooledWidth == 1280 && large.sampleSize == 128)
        #expect(large.inChannels == 4 && large.outChannels == 4 && large.crossAttentionDim == 2048)
    }

    @Test func publishedAutoencodersLoad() throws {
        let old = try read(PublishedConfig.sd15VAE) { try VAEConfig(file: $0) }
        #expect(old.scalingFactor == 0.18215 && old.factor == 8 && old.latentChannels == 4)
        let large = try read(PublishedConfig.sdxlVAE) { try VAEConfig(file: $0) }
        #expect(large.scalingFactor == 0.13025 && large.factor == 8)
    }

    @Test func publishedTextEncodersLoad() throws {
        let old = try read(PublishedConfig.sd15Text) { try CLIPConfig(file: $0, projected: false) }
        #expect(old.width == 768 && old.projection == nil && old.pooling == .highestID)
        let large = try read(PublishedConfig.sdxlText2) {
            try CLIPConfig(file: $0, projected: true)
        }
        #expect(large.width == 1280 && large.projection == 1280)
    }

    /// A change to a UNet's configuration and the key that the error must name.
    static let unsupported: [(old: String, new: String, names: String)] = [
        ("\"act_fn\": \"silu\"", "\"act_fn\": \"mish\"", "act_fn"),
        ("\"center_input_sample\": false", "\"center_input_sample\": true", "center_input_sample"),
        ("\"class_embed_type\": null", "\"class_embed_type\": \"timestep\"", "class_embed_type"),
        ("\"text_time\"", "\"image\"", "addition_embed_type"),
        ("\"num_attention_heads\": null", "\"num_attention_heads\": 8", "num_attention_heads"),
        ("\"default\"", "\"scale_shift\"", "resnet_time_scale_shift"),
        ("\"conv_in_kernel\": 3", "\"conv_in_kernel\": 5", "conv_in_kernel"),
        ("\"conv_in_kernel\": 3", "\"made_up_option\": 3", "made_up_option"),
        ("[5, 10, 20]", "[5, 10]", "attention_head_dim"),
        ("[5, 10, 20]", "[5, 10, 7]", "attention_head_dim"),
        ("[1, 2, 10]", "[[1], [2], [10]]", "transformer_layers_per_block"),
        ("\"UpBlock2D\"", "\"ResnetUpsampleBlock2D\"", "up_block_types"),
        ("[320, 640, 1280]", "[320, 640, 1281]", "block_out_channels"),
        ("2816", "1536", "projection_class_embeddings_input_dim"),
        (
            "\"UNetMidBlock2DCrossAttn\"", "\"UNetMidBlock2DSimpleCrossAttn\"", "mid_block_type"
        ),
        ("\"norm_num_groups\": 32", "\"norm_num_groups\": 0", "norm_num_groups"),
    ]

    @Test(arguments: unsupported) func unsupportedOptionsAreNamed(
        _ change: (old: String, new: String, names: String)
    ) throws {
        let text = PublishedConfig.sdxlUNet.replacing(change.old, with: change.new)
        #expect(text != PublishedConfig.sdxlUNet)
        let error = #expect(throws: InputError.self) {
            _ = try read(text) { try UNetConfig(file: $0) }
        }
        let message = error?.description ?? ""
        #expect(message.contains(change.names), "\(message)")
    }

    @Test func unsupportedAutoencoderOptionsAreNamed() throws {
        for (old, new, name) in [
            ("\"latents_mean\": null", "\"latents_mean\": [0, 0, 0, 0]", "latents_mean"),
            ("\"shift_factor\": null", "\"shift_factor\": \"0.1\"", "shift_factor"),
            ("\"force_upcast\"", "\"force_downcast\"", "force_downcast"),
            ("[128, 256, 512, 512]", "[128, 256, 512]", "block_types"),
        ] {
            let text = PublishedConfig.sdxlVAE.replacing(old, with: new)
            let error = #expect(throws: InputError.self) {
                _ = try read(text) { try VAEConfig(file: $0) }
            }
            #expect(error?.description.contains(name) == true, "\(error?.description ?? "")")
        }
    }

    @Test func unsupportedTextOptionsAreNamed() throws {
        for (old, new, name) in [
            ("\"gelu\"", "\"relu\"", "hidden_act"),
            ("\"dropout\"", "\"drop_in\"", "drop_in"),
            ("\"num_attention_heads\": 20", "\"num_attention_heads\": 7", "num_attention_heads"),
        ] {
            let text = PublishedConfig.sdxlText2.replacing(old, with: new)
            let error = #expect(throws: InputError.self) {
                _ = try read(text) { try CLIPConfig(file: $0, projected: true) }
            }
            #expect(error?.description.contains(name) == true, "\(error?.description ?? "")")
        }
    }

    /// The token whose state is the pooled embedding.
    @Test func promptsPoolWhereTransformersPools() {
        let ids = [7, 3, 9, 5, 9, 1]
        #expect(CLIPConfig.Pooling.highestID.position(in: ids) == 2)
        #expect(CLIPConfig.Pooling.first(5).position(in: ids) == 3)
        #expect(CLIPConfig.Pooling.first(8).position(in: ids) == 0)
    }

    /// Passes the text as a file.
    private func read<T>(_ text: String, _ body: (String) throws -> T) throws -> T {
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("config-\(UUID().uuidString).json")
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        return try body(file.path)
    }
}
