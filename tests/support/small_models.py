"""Small random transformers models that tests save to disk."""


def byte_tokenizer(specials):
    """A tokenizer of single bytes behind the special tokens, without merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {
        token: i for i, token in enumerate([*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())])
    }
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save_llama(folder, tokenizer, **sizes):
    """A randomly initialised Llama for that tokenizer, saved beside it; the same for the same sizes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
